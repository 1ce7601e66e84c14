// Socket options that Node does not offer.
#pragma once

#include "../fd.h"
#include "endpoint.h"

#include <optional>

namespace shunt {

struct ListenOptions {
  Endpoint at;
  int backlog = 0;
  bool transparent = false;
  bool reuse_port = false;
  bool v6_only = false;
};

/** Listening, non-blocking, close-on-exec. What it accepts sends at once and reads an urgent byte
 * where it stands in the stream. */
Fd listen_tcp(const ListenOptions &options);

/** A TCP socket for an outgoing connection, non-blocking, TCP_NODELAY; mark 0 sets none. */
Fd outgoing_tcp(int family, uint32_t mark, const std::optional<Endpoint> &source);

void set_mark(int fd, uint32_t mark);

/** Where conntrack knows that a DNATed connection was going; empty if it does not. */
std::optional<sockaddr_storage> original_destination(int fd, bool v6);

} // namespace shunt
