// Pipes for splice(2): between a socket and a socket, bytes have to go through one. They cost two
// descriptors and up to 256 KB of kernel memory each, so they are shared: a direction holds one
// only while bytes are in it.
#pragma once

#include "../fd.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace shunt::relay {

struct Pipe {
  Fd read_end, write_end;
  uint32_t capacity = 0;
};

class PipePool {
public:
  /** Datapath measurements: 64 KB loses most of the gain with several streams, 1 MB adds nothing.
   */
  static constexpr int kPipeSize = 256 << 10;
  /** What the kernel gives an unprivileged user beyond pipe-user-pages-soft is two pages: then
   * copying is cheaper. */
  static constexpr int kLeastSize = 64 << 10;
  /** After a failure the kernel is not asked again for this long. */
  static constexpr uint64_t kPauseMs = 100;

  /** At most `most` in use, and at most `keep` waiting for their next use. */
  PipePool(size_t most, size_t keep) : most_(most), keep_(keep) { pooled_.reserve(keep); }

  /** Empty and non-blocking; nullptr if there is none to be had. */
  std::unique_ptr<Pipe> take(uint64_t now_ms);
  /** `reusable`: it is empty. */
  void give(std::unique_ptr<Pipe> pipe, bool reusable);

  size_t in_use() const { return in_use_; }
  size_t pooled() const { return pooled_.size(); }

private:
  static std::unique_ptr<Pipe> make();

  size_t most_, keep_;
  size_t in_use_ = 0;
  uint64_t not_before_ms_ = 0;
  std::vector<std::unique_ptr<Pipe>> pooled_;
};

} // namespace shunt::relay
