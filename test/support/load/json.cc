#include "json.h"

#include <cstdio>

namespace shunt::load {

Json &Json::put(const std::string &name, const std::string &text) {
  std::string quoted = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\')
      quoted += '\\';
    quoted += static_cast<unsigned char>(letter) < 0x20 ? ' ' : letter;
  }
  return raw(name, quoted + '"');
}

Json &Json::put(const std::string &name, double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return raw(name, text);
}

Json &Json::put(const std::string &name, const std::vector<Json> &objects) {
  std::string list;
  for (const Json &object : objects)
    list += (list.empty() ? "" : ",") + object.text();
  return raw(name, "[" + list + "]");
}

Json &Json::raw(const std::string &name, const std::string &value) {
  body_ += (body_.empty() ? "\"" : ",\"") + name + "\":" + value;
  return *this;
}

void Json::print() const {
  const std::string line = text() + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

} // namespace shunt::load
