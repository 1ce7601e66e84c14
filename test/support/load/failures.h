// What went wrong, by phase and errno, with wall-clock times to lay beside the moment of a kill.
#pragma once

#include "json.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace shunt::load {

class Failures {
public:
  explicit Failures(size_t list_at_most) : list_at_most_(list_at_most) {}
  /** @param started_ms wall clock: when the connection that failed was started */
  void add(const std::string &phase, const std::string &code, uint64_t started_ms);
  uint64_t count() const { return count_; }
  /** `failed`, `failedBy`, `firstFailureMs`, `lastFailureMs`, `failures`. */
  void put_into(Json &json) const;

private:
  size_t list_at_most_;
  uint64_t count_ = 0, first_ms_ = 0, last_ms_ = 0;
  std::map<std::string, uint64_t> by_;
  std::vector<Json> list_;
};

} // namespace shunt::load
