// The bytes that a stream must carry: a block of random bytes of prime length, over and over, from
// an offset that the stream's number gives. Every byte is compared, which finds what a checksum
// finds and says where; the prime keeps a repeated or lost run of pages, segments or pipe buffers
// from looking right.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shunt::load {

class Pattern {
public:
  /** As many bytes as this may be taken at once. */
  static constexpr size_t kMaxRun = 256 * 1024;

  explicit Pattern(uint32_t seed);
  /** kMaxRun bytes of the stream from this offset on. */
  const uint8_t *at(uint64_t offset) const;

private:
  uint64_t start_;
};

/** Small, repeatable random numbers. */
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t next();
  /** 0 to bound - 1. */
  uint64_t below(uint64_t bound) { return next() % bound; }

private:
  uint64_t state_;
};

} // namespace shunt::load
