// `--name value` pairs. A name that no mode asked for is an error, so that a misspelt one does not
// measure something else.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace shunt::load {

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Arguments {
public:
  Arguments(int argc, char **argv);

  bool has(const std::string &name);
  std::string text(const std::string &name, const std::string &otherwise);
  uint64_t number(const std::string &name, uint64_t otherwise);
  double real(const std::string &name, double otherwise);
  /** A name may be given several times. */
  std::vector<std::string> all(const std::string &name);
  /** Throws UsageError for names that nobody asked for. */
  void finish() const;

private:
  std::multimap<std::string, std::string> values_;
  std::set<std::string> known_;
};

} // namespace shunt::load
