// What the modes of a client have in common: where to connect to and from, and their results.
#pragma once

#include "address.h"
#include "arguments.h"
#include "failures.h"
#include "json.h"
#include "latencies.h"
#include "loop.h"
#include "order.h"

#include <vector>

namespace shunt::load {

/** `--to ADDRESS:PORT` and `--from ADDRESS`, each any number of times, taken in turn. */
class Targets {
public:
  explicit Targets(Arguments &arguments);
  /** A socket that connects, or that could not: then errno is in `error`. */
  Fd connect(int &error);

private:
  std::vector<Address> to_, from_;
  size_t turn_ = 0;
};

/** SO_ERROR. */
int socket_error(int fd);

int run_conns(Arguments &arguments);
int run_pingpong(Arguments &arguments);
int run_bulk(Arguments &arguments);
int run_idle(Arguments &arguments);
int run_pipes(Arguments &arguments);

} // namespace shunt::load
