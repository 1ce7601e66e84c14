#include "behaviour.h"

#include "arguments.h"

namespace shunt::load {

namespace {

struct Row {
  const char *name;
  Behaviour::Kind kind;
  bool has_amount;
};

constexpr Row kRows[] = {
    {"answer", Behaviour::Kind::kAnswer, false},
    {"reset", Behaviour::Kind::kReset, false},
    {"reset-after", Behaviour::Kind::kResetAfter, true},
    {"send-and-reset", Behaviour::Kind::kSendAndReset, true},
    {"close", Behaviour::Kind::kClose, false},
    {"half-close", Behaviour::Kind::kHalfClose, false},
    {"deaf", Behaviour::Kind::kDeaf, false},
    {"slow-reader", Behaviour::Kind::kSlowReader, true},
    {"slow-accept", Behaviour::Kind::kSlowAccept, true},
    {"black-hole", Behaviour::Kind::kBlackHole, false},
    {"refuse", Behaviour::Kind::kRefuse, false},
};

} // namespace

Behaviour parse_behaviour(const std::string &text) {
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  for (const Row &row : kRows) {
    if (name != row.name)
      continue;
    if (row.has_amount != (colon != std::string::npos))
      throw UsageError(name + (row.has_amount ? " needs an amount" : " has no amount"));
    return {row.kind, row.has_amount ? std::stoull(text.substr(colon + 1)) : 0};
  }
  throw UsageError("no behaviour " + name);
}

std::string Behaviour::name() const {
  for (const Row &row : kRows)
    if (row.kind == kind)
      return row.has_amount ? row.name + (":" + std::to_string(amount)) : row.name;
  return "";
}

} // namespace shunt::load
