#include "address.h"

#include "arguments.h"
#include "system_error.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include <cstring>

namespace shunt::load {

Address parse_ip(const std::string &text) {
  Address result;
  auto *v4 = reinterpret_cast<sockaddr_in *>(&result.storage);
  auto *v6 = reinterpret_cast<sockaddr_in6 *>(&result.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    result.size = sizeof *v4;
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    result.size = sizeof *v6;
  } else {
    throw UsageError("no address: " + text);
  }
  return result;
}

Address parse_address(const std::string &text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    throw UsageError("no address with a port: " + text);
  std::string ip = text.substr(0, colon);
  if (ip.front() == '[' && ip.back() == ']')
    ip = ip.substr(1, ip.size() - 2);
  Address result = parse_ip(ip);
  const in_port_t port = htons(static_cast<uint16_t>(std::atoi(text.c_str() + colon + 1)));
  if (result.family() == AF_INET)
    reinterpret_cast<sockaddr_in *>(&result.storage)->sin_port = port;
  else
    reinterpret_cast<sockaddr_in6 *>(&result.storage)->sin6_port = port;
  return result;
}

Fd tcp_socket(int family) {
  Fd fd(check("socket", ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

Fd listen_on(const Address &address, int backlog) {
  Fd fd = tcp_socket(address.family());
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  check("bind", ::bind(fd.get(), address.get(), address.size));
  check("listen", ::listen(fd.get(), backlog));
  return fd;
}

void close_with_reset(Fd &fd) {
  const linger now{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd.reset();
}

std::string errno_name(int code) {
  const char *name = ::strerrorname_np(code);
  return name == nullptr ? std::to_string(code) : name;
}

} // namespace shunt::load
