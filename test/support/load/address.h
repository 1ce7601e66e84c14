// `10.0.0.1:80`, `[fd00::1]:80`, and sockets for them.
#pragma once

#include "fd.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

namespace shunt::load {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr *get() const { return reinterpret_cast<const sockaddr *>(&storage); }
  int family() const { return storage.ss_family; }
};

/** Throws UsageError. */
Address parse_address(const std::string &text);
/** An address alone; its port is 0. */
Address parse_ip(const std::string &text);

/** Non-blocking, TCP_NODELAY. */
Fd tcp_socket(int family);
Fd listen_on(const Address &address, int backlog);
/** SO_LINGER 0: close sends a reset. */
void close_with_reset(Fd &fd);

/** `ECONNREFUSED`. */
std::string errno_name(int code);

} // namespace shunt::load
