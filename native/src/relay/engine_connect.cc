// The way to an endpoint: one candidate after the other, until one answers, all failed, the
// deadline passed or the client went away.

#include "address.h"
#include "engine.h"
#include "socket_calls.h"

#include <algorithm>
#include <new>

namespace shunt::relay {

void Engine::start_connecting(Connection &connection, const Command &command) {
  const uint64_t now_us = monotonic_us();
  const uint64_t deadline_us = now_us + uint64_t{command.deadline_ms} * 1000;
  connection.connecting.reset(new (std::nothrow) Connecting{command, 0, now_us, deadline_us});
  if (!connection.connecting) {
    counters_.memory_shortages++;
    return end(connection, Outcome::kAborted);
  }
  auto &kept = connection.connecting->command;
  kept.candidate_count = std::min<uint8_t>(kept.candidate_count, kMaxCandidates);
  kept.prefix_length = std::min<uint8_t>(kept.prefix_length, kMaxPrefix);
  connection.state = State::kConnecting;
  attempt(connection);
}

/** Starts the next attempt that can be started. */
void Engine::attempt(Connection &connection) {
  Connecting &connecting = *connection.connecting;
  for (; connecting.index < connecting.command.candidate_count; connecting.index++) {
    connecting.attempt_us = monotonic_us();
    if (connecting.attempt_us >= connecting.deadline_us)
      break;
    if (begin_attempt(connection))
      return;
  }
  TimerWheel::cancel(connection.timer);
  connection.connecting.reset();
  connection.state = State::kWaiting;
  outbox_.urgent(event(EventKind::kExhausted, connection), now_us_);
}

bool Engine::begin_attempt(Connection &connection) {
  const Connecting &connecting = *connection.connecting;
  const Command &command = connecting.command;
  const Candidate &candidate = command.candidates[connecting.index];
  const Endpoint to = endpoint_of(candidate.address, candidate.port);
  int fd = -1;
  int error = open_outgoing(to.family(), command.mark, fd);
  connection.endpoint = Fd(fd);
  if (error == 0 && ::connect(fd, to.address(), to.size) < 0 && errno != EINPROGRESS)
    error = errno;
  if (error == 0)
    error = watch(connection, Leg::kEndpoint);
  if (error != 0) {
    attempt_failed(connection, error);
    return false;
  }
  const bool last = connecting.index + 1U == command.candidate_count;
  uint64_t due_us = connecting.deadline_us;
  if (!last && command.attempt_timeout_ms > 0)
    due_us = std::min(due_us, connecting.attempt_us + uint64_t{command.attempt_timeout_ms} * 1000);
  timers_.arm(connection.timer, (due_us + 999) / 1000);
  return true;
}

/** Tells of it; the caller goes on with the next. */
void Engine::attempt_failed(Connection &connection, int error) {
  connection.endpoint.reset();
  if (error == EADDRNOTAVAIL)
    counters_.port_shortages++;
  else if (error == EMFILE || error == ENFILE)
    counters_.descriptor_shortages++;
  else if (error == ENOMEM || error == ENOBUFS || error == ENOSPC)
    counters_.memory_shortages++;
  Event event = this->event(EventKind::kAttemptFailed, connection);
  event.error = error;
  event.index = connection.connecting->index;
  event.duration_us = static_cast<double>(monotonic_us() - connection.connecting->attempt_us);
  outbox_.lazy(event, now_us_);
}

void Engine::next_attempt(Connection &connection, int error) {
  attempt_failed(connection, error);
  connection.connecting->index++;
  attempt(connection);
}

void Engine::connected(Connection &connection) {
  const Connecting &connecting = *connection.connecting;
  Event event = this->event(EventKind::kConnected, connection);
  event.index = connecting.index;
  event.duration_us = static_cast<double>(monotonic_us() - connecting.attempt_us);
  outbox_.lazy(event, now_us_);
  connection.state = State::kRelaying;
  const Command &command = connecting.command;
  connection.idle_ms = command.idle_ms;
  connection.half_closed_ms = command.half_closed_ms;
  connection.silent_ms = command.silent_ms;
  connection.lifetime_ms = command.lifetime_ms;
  if (!skip_and_prefix(connection))
    return;
  connection.connecting.reset();
  start_relaying(connection);
}

/** False if the connection ended. */
bool Engine::skip_and_prefix(Connection &connection) {
  const Command &command = connection.connecting->command;
  size_t left = command.skip_bytes;
  while (left > 0) {
    // JavaScript has seen these bytes, so they are there unless the client has reset.
    const ssize_t got = ::recv(connection.client.get(), buffer_.get(),
                               std::min(left, Mover::kBufferSize), MSG_DONTWAIT);
    if (got <= 0) {
      end(connection, Outcome::kResetByClient);
      return false;
    }
    left -= static_cast<size_t>(got);
  }
  const size_t length = command.prefix_length;
  // A connection that is new has room for so little, unless it is gone again.
  if (length > 0 && ::send(connection.endpoint.get(), command.prefix, length,
                           MSG_DONTWAIT | MSG_NOSIGNAL) != static_cast<ssize_t>(length)) {
    end(connection, Outcome::kResetByEndpoint);
    return false;
  }
  return true;
}

} // namespace shunt::relay
