#include "pattern.h"

#include <vector>

namespace shunt::load {

namespace {

constexpr uint64_t kPeriod = 1'048'573;

const std::vector<uint8_t> &block() {
  static const std::vector<uint8_t> bytes = [] {
    std::vector<uint8_t> result(kPeriod + Pattern::kMaxRun);
    Random random(42);
    for (size_t i = 0; i < kPeriod; i++)
      result[i] = static_cast<uint8_t>(random.next());
    for (size_t i = kPeriod; i < result.size(); i++)
      result[i] = result[i - kPeriod];
    return result;
  }();
  return bytes;
}

} // namespace

Pattern::Pattern(uint32_t seed) : start_(uint64_t{seed} * 7919) {}

const uint8_t *Pattern::at(uint64_t offset) const {
  return block().data() + (start_ + offset) % kPeriod;
}

uint64_t Random::next() {
  // splitmix64
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

} // namespace shunt::load
