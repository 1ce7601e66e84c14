// The smallest thing that can fail: EXPECT prints where and what, and main's status counts them.
#pragma once

#include <cstdio>

namespace shunt::test {

inline int failures = 0;

inline void expect(bool holds, const char *what, const char *file, int line) {
  if (holds)
    return;
  failures++;
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
}

} // namespace shunt::test

#define EXPECT(condition) ::shunt::test::expect((condition), #condition, __FILE__, __LINE__)
