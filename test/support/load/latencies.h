// A histogram of times with 64 buckets per power of two: percentiles within 1.6%.
#pragma once

#include "json.h"

#include <cstdint>
#include <vector>

namespace shunt::load {

class Latencies {
public:
  void add(uint64_t time_ns);
  uint64_t count() const { return count_; }
  /** 0 < part <= 1; microseconds. */
  double percentile_us(double part) const;
  Json json() const;

private:
  std::vector<uint64_t> buckets_ = std::vector<uint64_t>(64 * 64);
  uint64_t count_ = 0, sum_ns_ = 0, max_ns_ = 0;
};

} // namespace shunt::load
