#include "sockets.h"

#include "../system_error.h"

#include <netinet/tcp.h>

namespace shunt {

namespace {

// The C library's headers cannot be included together with the kernel's that have these two names.
constexpr int kOriginalDst = 80;       // SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST
constexpr int kBindAddressNoPort = 24; // IP_BIND_ADDRESS_NO_PORT

void enable(int fd, int level, int option, const char *call) {
  const int on = 1;
  check(call, ::setsockopt(fd, level, option, &on, sizeof on));
}

} // namespace

Fd listen_tcp(const ListenOptions &options) {
  const bool v6 = options.at.family() == AF_INET6;
  Fd fd(check("socket",
              ::socket(options.at.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  enable(fd.get(), SOL_SOCKET, SO_REUSEADDR, "setsockopt SO_REUSEADDR");
  if (options.reuse_port)
    enable(fd.get(), SOL_SOCKET, SO_REUSEPORT, "setsockopt SO_REUSEPORT");
  if (v6) {
    const int only = options.v6_only;
    check("setsockopt IPV6_V6ONLY",
          ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only));
  }
  if (options.transparent) {
    if (v6)
      enable(fd.get(), IPPROTO_IPV6, IPV6_TRANSPARENT, "setsockopt IPV6_TRANSPARENT");
    else
      enable(fd.get(), IPPROTO_IP, IP_TRANSPARENT, "setsockopt IP_TRANSPARENT");
  }
  // Before listen: a connection inherits what the listener has when its handshake ends.
  enable(fd.get(), IPPROTO_TCP, TCP_NODELAY, "setsockopt TCP_NODELAY");
  enable(fd.get(), SOL_SOCKET, SO_OOBINLINE, "setsockopt SO_OOBINLINE");
  check("bind", ::bind(fd.get(), options.at.address(), options.at.size));
  check("listen", ::listen(fd.get(), options.backlog));
  return fd;
}

Fd outgoing_tcp(int family, uint32_t mark, const std::optional<Endpoint> &source) {
  Fd fd(check("socket", ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  enable(fd.get(), IPPROTO_TCP, TCP_NODELAY, "setsockopt TCP_NODELAY");
  if (mark != 0)
    set_mark(fd.get(), mark);
  if (source) {
    // The kernel honours the IPv4 option for IPv6 sockets too.
    enable(fd.get(), IPPROTO_IP, kBindAddressNoPort, "setsockopt IP_BIND_ADDRESS_NO_PORT");
    check("bind", ::bind(fd.get(), source->address(), source->size));
  }
  return fd;
}

void set_mark(int fd, uint32_t mark) {
  check("setsockopt SO_MARK", ::setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
}

std::optional<sockaddr_storage> original_destination(int fd, bool v6) {
  sockaddr_storage address{};
  socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (::getsockopt(fd, level, kOriginalDst, &address, &size) < 0) {
    // ENOENT: not in conntrack. ENOPROTOOPT: this kernel has no conntrack for the family.
    if (errno == ENOENT || errno == ENOPROTOOPT)
      return std::nullopt;
    throw SystemError("getsockopt SO_ORIGINAL_DST", errno);
  }
  return address;
}

} // namespace shunt
