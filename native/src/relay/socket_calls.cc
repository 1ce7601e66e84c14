#include "socket_calls.h"

#include "../fd.h"

#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace shunt::relay {

namespace {

/** KEEP_ALIVE_MS of the proxy: then the kernel asks whether a silent peer is still there. */
constexpr int kKeepAliveSeconds = 300;

int set(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value) < 0 ? errno : 0;
}

} // namespace

int send_at_once(int fd) { return set(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

int keep_alive(int fd) {
  const int error = set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  return error != 0 ? error : set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveSeconds);
}

int read_urgent_inline(int fd) { return set(fd, SOL_SOCKET, SO_OOBINLINE, 1); }

int open_outgoing(int family, uint32_t mark, int &fd) {
  Fd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  fd = -1;
  if (!socket)
    return errno;
  int error = send_at_once(socket.get());
  if (error == 0)
    error = read_urgent_inline(socket.get());
  if (error == 0 && mark != 0)
    error = set(socket.get(), SOL_SOCKET, SO_MARK, static_cast<int>(mark));
  if (error == 0)
    fd = socket.release();
  return error;
}

int pending_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

uint32_t bytes_waiting(int fd) {
  int count = 0;
  return ::ioctl(fd, FIONREAD, &count) < 0 || count < 0 ? 0 : static_cast<uint32_t>(count);
}

void reset_on_close(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void set_low_water(int fd, uint32_t bytes) {
  set(fd, SOL_SOCKET, SO_RCVLOWAT, bytes > INT_MAX ? INT_MAX : static_cast<int>(bytes));
}

LegInfo leg_info(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
    return {};
  return {info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_total_retrans, info.tcpi_lost};
}

uint64_t monotonic_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

} // namespace shunt::relay
