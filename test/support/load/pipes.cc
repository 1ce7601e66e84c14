// `load pipes`: takes pipes of a size until the kernel gives no more, and holds them: another
// process of the same user then meets pipe-user-pages-soft, and nobody else does.

#include "client.h"
#include "system_error.h"

#include <fcntl.h>

namespace shunt::load {

int run_pipes(Arguments &arguments) {
  const int size = static_cast<int>(arguments.number("size", 256 * 1024));
  arguments.finish();
  Loop loop;
  std::vector<Fd> held;
  for (;;) {
    int ends[2];
    check("pipe2", ::pipe2(ends, O_CLOEXEC));
    held.emplace_back(ends[0]);
    held.emplace_back(ends[1]);
    if (::fcntl(ends[1], F_SETPIPE_SZ, size) >= 0)
      continue;
    if (errno != EPERM)
      throw SystemError("F_SETPIPE_SZ", errno);
    // What a large one no longer gets, small ones still would.
    if (::fcntl(ends[1], F_GETPIPE_SZ) <= 2 * 4096)
      break;
  }
  Json().put("event", "ready").print();
  loop.run();
  Json().put("event", "result").put("pipes", held.size() / 2).print();
  return 0;
}

} // namespace shunt::load
