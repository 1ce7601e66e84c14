#include "failures.h"

#include "loop.h"

namespace shunt::load {

void Failures::add(const std::string &phase, const std::string &code, uint64_t started_ms) {
  const uint64_t now = wall_ms();
  if (count_++ == 0)
    first_ms_ = now;
  last_ms_ = now;
  by_[phase + " " + code]++;
  if (list_.size() < list_at_most_)
    list_.push_back(
        Json().put("startedMs", started_ms).put("atMs", now).put("phase", phase).put("code", code));
}

void Failures::put_into(Json &json) const {
  Json by;
  for (const auto &[name, count] : by_)
    by.put(name, count);
  json.put("failed", count_).put("failedBy", by);
  if (count_ > 0)
    json.put("firstFailureMs", first_ms_).put("lastFailureMs", last_ms_);
  json.put("failures", list_);
}

} // namespace shunt::load
