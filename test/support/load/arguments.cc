#include "arguments.h"

#include <charconv>

namespace shunt::load {

Arguments::Arguments(int argc, char **argv) {
  for (int i = 0; i < argc; i += 2) {
    const std::string name = argv[i];
    if (!name.starts_with("--") || i + 1 >= argc)
      throw UsageError("expected --name value, got " + name);
    values_.emplace(name.substr(2), argv[i + 1]);
  }
}

bool Arguments::has(const std::string &name) {
  known_.insert(name);
  return values_.contains(name);
}

std::string Arguments::text(const std::string &name, const std::string &otherwise) {
  return has(name) ? values_.find(name)->second : otherwise;
}

uint64_t Arguments::number(const std::string &name, uint64_t otherwise) {
  const double value = real(name, static_cast<double>(otherwise));
  if (value < 0)
    throw UsageError("--" + name + " is negative");
  return static_cast<uint64_t>(value);
}

double Arguments::real(const std::string &name, double otherwise) {
  if (!has(name))
    return otherwise;
  const std::string &value = values_.find(name)->second;
  double result = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc() || end != value.data() + value.size())
    throw UsageError("--" + name + " is no number: " + value);
  return result;
}

std::vector<std::string> Arguments::all(const std::string &name) {
  known_.insert(name);
  std::vector<std::string> result;
  const auto [first, last] = values_.equal_range(name);
  for (auto entry = first; entry != last; ++entry)
    result.push_back(entry->second);
  return result;
}

void Arguments::finish() const {
  for (const auto &[name, value] : values_)
    if (!known_.contains(name))
      throw UsageError("this mode has no --" + name);
}

} // namespace shunt::load
