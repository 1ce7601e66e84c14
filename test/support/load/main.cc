// The load tool: endpoints and clients of tests and benchmarks. `load MODE --name value ...`; one
// JSON object a line on stdout: `started` or `ready` when it begins, `report` on SIGUSR1, `result`
// last. It dies with who started it.

#include "client.h"
#include "server.h"

#include <sys/prctl.h>

#include <csignal>
#include <cstdio>
#include <cstring>

int main(int argc, char **argv) {
  using namespace shunt::load;
  static constexpr struct {
    const char *name;
    int (*run)(Arguments &);
  } kModes[] = {
      {"serve", serve},   {"conns", run_conns}, {"pingpong", run_pingpong},
      {"bulk", run_bulk}, {"idle", run_idle},   {"pipes", run_pipes},
  };
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    if (argc < 2)
      throw UsageError("load serve|conns|pingpong|bulk|idle|pipes --name value ...");
    Arguments arguments(argc - 2, argv + 2);
    for (const auto &mode : kModes)
      if (std::strcmp(mode.name, argv[1]) == 0)
        return mode.run(arguments);
    throw UsageError(std::string("no mode ") + argv[1]);
  } catch (const UsageError &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
