#include "latencies.h"

#include <algorithm>
#include <bit>

namespace shunt::load {

namespace {

constexpr unsigned kBits = 6;

size_t bucket_of(uint64_t value) {
  if (value < 64)
    return value;
  const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
  return (static_cast<size_t>(shift) + 1) * 64 + ((value >> shift) & 63);
}

double middle_of(size_t bucket) {
  if (bucket < 64)
    return static_cast<double>(bucket);
  const size_t shift = bucket / 64 - 1;
  return (static_cast<double>(64 + bucket % 64) + 0.5) * static_cast<double>(uint64_t{1} << shift);
}

} // namespace

void Latencies::add(uint64_t time_ns) {
  buckets_[bucket_of(time_ns)]++;
  count_++;
  sum_ns_ += time_ns;
  max_ns_ = std::max(max_ns_, time_ns);
}

double Latencies::percentile_us(double part) const {
  const double wanted = part * static_cast<double>(count_);
  double seen = 0;
  for (size_t bucket = 0; bucket < buckets_.size(); bucket++) {
    seen += static_cast<double>(buckets_[bucket]);
    if (seen >= wanted && seen > 0)
      return middle_of(bucket) / 1000;
  }
  return 0;
}

Json Latencies::json() const {
  const double mean =
      count_ == 0 ? 0 : static_cast<double>(sum_ns_) / static_cast<double>(count_) / 1000;
  return Json()
      .put("count", count_)
      .put("mean", mean)
      .put("p50", percentile_us(0.5))
      .put("p90", percentile_us(0.9))
      .put("p99", percentile_us(0.99))
      .put("p999", percentile_us(0.999))
      .put("max", static_cast<double>(max_ns_) / 1000);
}

} // namespace shunt::load
