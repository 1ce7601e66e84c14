// The one exception of the Node-free parts: a system call failed. The bindings turn it into a
// JavaScript error with `syscall` and `errno`; kernel/native.ts says what it means.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>

namespace shunt {

class SystemError : public std::runtime_error {
public:
  SystemError(const char *call, int code, const std::string &detail = {});

  const char *call() const { return call_; }
  int code() const { return code_; }

private:
  const char *call_;
  int code_;
};

/** Throws for a negative result; returns it otherwise. */
int check(const char *call, int result);

} // namespace shunt
