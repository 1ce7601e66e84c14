// Enough JSON to print results: one object a line on stdout.
#pragma once

#include <concepts>
#include <string>
#include <vector>

namespace shunt::load {

class Json {
public:
  Json &put(const std::string &name, const std::string &text);
  Json &put(const std::string &name, const char *text) { return put(name, std::string(text)); }
  Json &put(const std::string &name, bool value) { return raw(name, value ? "true" : "false"); }
  Json &put(const std::string &name, double value);
  Json &put(const std::string &name, std::integral auto value) {
    return raw(name, std::to_string(value));
  }
  Json &put(const std::string &name, const Json &object) { return raw(name, object.text()); }
  Json &put(const std::string &name, const std::vector<Json> &objects);

  std::string text() const { return "{" + body_ + "}"; }
  /** With a line feed, at once. */
  void print() const;

private:
  Json &raw(const std::string &name, const std::string &value);
  std::string body_;
};

} // namespace shunt::load
