#include "system_error.h"

#include <cstring>

namespace shunt {

SystemError::SystemError(const char *call, int code, const std::string &detail)
    : std::runtime_error(std::string(call) + ": " + std::strerror(code) +
                         (detail.empty() ? "" : ": " + detail)),
      call_(call), code_(code) {}

int check(const char *call, int result) {
  if (result < 0)
    throw SystemError(call, errno);
  return result;
}

} // namespace shunt
