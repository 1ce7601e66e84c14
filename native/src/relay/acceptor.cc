#include "acceptor.h"

#include "../net/sockets.h"
#include "../system_error.h"
#include "address.h"
#include "socket_calls.h"
#include "tag.h"

#include <sys/epoll.h>

#include <algorithm>

namespace shunt::relay {

namespace {

/** Exclusive: one connection should not wake every engine that shares the socket. */
int watch_listener(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLEXCLUSIVE;
  event.data.u64 = kListenerTag | static_cast<uint32_t>(fd);
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? errno : 0;
}

uint16_t port_of(const sockaddr_storage &address) {
  uint8_t ignored[16];
  uint16_t port = 0;
  write_address(address, ignored, port);
  return port;
}

} // namespace

void Acceptor::add(int fd) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  int error = ::getsockname(fd, reinterpret_cast<sockaddr *>(&own), &size) < 0 ? errno : 0;
  if (error == 0)
    error = send_at_once(fd);
  if (error == 0)
    error = keep_alive(fd);
  if (error == 0 && watching_)
    error = watch_listener(epoll_, fd);
  if (error != 0)
    return failed_(fd, error);
  listeners_.push_back({fd, port_of(own)});
}

std::optional<Acceptor::Listener> Acceptor::forget(int fd) {
  const auto found = std::find_if(listeners_.begin(), listeners_.end(),
                                  [fd](auto &each) { return each.fd == fd; });
  if (found == listeners_.end())
    return std::nullopt;
  const Listener listener = *found;
  listeners_.erase(found);
  if (watching_)
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  return listener;
}

void Acceptor::remove(int fd) {
  const auto listener = forget(fd);
  if (!listener)
    return;
  // This epoll may have been the only one that was woken for what waits now: nobody else would come
  // for it before the next connection.
  for (int i = 0; i < kLastBatch && accept_one(*listener, 0); i++) {
  }
}

void Acceptor::watch(bool wanted, uint64_t now_ms) {
  wanted = wanted && now_ms >= not_before_ms_;
  if (wanted == watching_)
    return;
  watching_ = wanted;
  for (const Listener &listener : listeners_) {
    if (wanted)
      watch_listener(epoll_, listener.fd);
    else
      ::epoll_ctl(epoll_, EPOLL_CTL_DEL, listener.fd, nullptr);
  }
}

uint64_t Acceptor::wait_ms(uint64_t now_ms, uint64_t most) const {
  if (watching_ || now_ms >= not_before_ms_)
    return most;
  return std::min(most, not_before_ms_ - now_ms);
}

void Acceptor::accept(int fd, uint64_t now_ms) {
  const auto found = std::find_if(listeners_.begin(), listeners_.end(),
                                  [fd](auto &each) { return each.fd == fd; });
  if (found == listeners_.end())
    return;
  const Listener listener = *found;
  for (int i = 0; i < kBatch; i++)
    if (!accept_one(listener, now_ms))
      return;
}

/** False when there is nothing more to do for now. */
bool Acceptor::accept_one(const Listener &listener, uint64_t now_ms) {
  Accepted accepted{};
  socklen_t size = sizeof accepted.client;
  accepted.fd = Fd(::accept4(listener.fd, reinterpret_cast<sockaddr *>(&accepted.client), &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (accepted.fd) {
    accepted.destination_known = destination_of(listener, accepted);
    take_(std::move(accepted));
    return true;
  }
  switch (errno) {
  case EAGAIN: // another engine or process was faster
    return false;
  case EMFILE:
  case ENFILE:
    counters_.descriptor_shortages++;
    break;
  case ENOBUFS:
  case ENOMEM:
    counters_.memory_shortages++;
    break;
  case EBADF:
  case EINVAL:
  case ENOTSOCK:
  case EOPNOTSUPP:
    break;
  default:
    // The connection that was next in the queue went away, in one of the many ways of accept(2).
    return true;
  }
  fail(listener.fd, errno, now_ms);
  return false;
}

/** Connections wait in the queue for a while; a closed listener would fail for ever. */
void Acceptor::fail(int fd, int error, uint64_t now_ms) {
  if (error == EBADF || error == EINVAL || error == ENOTSOCK || error == EOPNOTSUPP)
    forget(fd);
  else
    not_before_ms_ = now_ms + kPauseMs;
  failed_(fd, error);
}

/** A steered connection has it as its own address, one that was DNATed in conntrack. */
bool Acceptor::destination_of(const Listener &listener, Accepted &accepted) {
  socklen_t size = sizeof accepted.destination;
  if (::getsockname(accepted.fd.get(), reinterpret_cast<sockaddr *>(&accepted.destination), &size) <
      0)
    return false;
  if (port_of(accepted.destination) != listener.port)
    return true;
  try {
    const bool v6 = accepted.destination.ss_family == AF_INET6;
    const auto original = original_destination(accepted.fd.get(), v6);
    if (original)
      accepted.destination = *original;
    return original.has_value();
  } catch (const SystemError &) {
    return false;
  }
}

} // namespace shunt::relay
