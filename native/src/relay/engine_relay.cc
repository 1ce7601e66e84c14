// Between the two legs: edges, limits, closes, and the end.

#include "engine.h"
#include "socket_calls.h"

#include <sys/epoll.h>

#include <algorithm>

namespace shunt::relay {

void Engine::on_leg(Connection &connection, Leg leg, uint32_t events) {
  Direction &reads = connection.from(leg);
  Direction &writes = connection.to(leg);
  const bool failed = events & EPOLLERR;
  const bool over = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
  if (over || (events & (EPOLLIN | EPOLLPRI)))
    reads.readable = true;
  if (over || (events & EPOLLPRI))
    reads.drain = true;
  if (over || (events & EPOLLOUT))
    writes.writable = true;
  const int fd = leg == Leg::kClient ? connection.client.get() : connection.endpoint.get();
  if (leg == Leg::kClient && over)
    connection.hung_up = true;

  switch (connection.state) {
  case State::kFree:
    return;
  case State::kWaiting:
    connection.gone = connection.gone || failed;
    return;
  case State::kPeeking:
    connection.gone = failed;
    look(connection, false);
    return;
  case State::kConnecting:
    if (leg == Leg::kClient) {
      if (failed)
        end(connection, Outcome::kClientGone);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
      const int error = pending_error(fd);
      next_attempt(connection, error != 0 ? error : ECONNABORTED);
    } else if (events & EPOLLOUT) {
      connected(connection);
    }
    return;
  case State::kRelaying:
    // Reading comes upon the error by itself, after the bytes that came before it. Where nothing
    // is read, because the sink is slow or all has been read, somebody has to ask.
    if (failed && (reads.holds() || reads.over) && pending_error(fd) != 0)
      return end(connection,
                 leg == Leg::kClient ? Outcome::kResetByClient : Outcome::kResetByEndpoint);
    return relay(connection, leg);
  }
}

void Engine::start_relaying(Connection &connection) {
  connection.state = State::kRelaying;
  connection.relay_ms = connection.active_ms = now_ms_;
  watch_limits(connection);
  relay(connection, Leg::kClient);
}

/** What comes from the leg with the news goes first: it may be the last that comes from there. */
void Engine::relay(Connection &connection, Leg first) {
  if (pump(connection, first))
    pump(connection, first == Leg::kClient ? Leg::kEndpoint : Leg::kClient);
}

/** False if the connection ended. */
bool Engine::pump(Connection &connection, Leg source) {
  Direction &direction = connection.from(source);
  Direction &back = connection.to(source);
  const bool upward = source == Leg::kClient;
  const int client = connection.client.get();
  const int endpoint = connection.endpoint.get();
  const uint64_t before = direction.bytes;
  const Progress progress =
      direction.pump(mover_, upward ? client : endpoint, upward ? endpoint : client);
  if (direction.bytes != before) {
    connection.active_ms = now_ms_;
    memory_.publish_bytes(connection.slot, connection.up.bytes, connection.down.bytes);
  }
  switch (progress) {
  case Progress::kWait:
    return true;
  case Progress::kMore:
    enqueue(connection);
    return true;
  case Progress::kFinished:
    return close_half(connection, source);
  case Progress::kSourceLost:
    end(connection, upward ? Outcome::kResetByClient : Outcome::kResetByEndpoint);
    return false;
  case Progress::kSinkLost:
    // An endpoint may answer and reset before it has read everything: the answer still counts.
    back.readable = true;
    back.pump(mover_, upward ? endpoint : client, upward ? client : endpoint);
    end(connection, upward ? Outcome::kResetByEndpoint : Outcome::kResetByClient);
    return false;
  case Progress::kNoMemory:
    counters_.memory_shortages++;
    end(connection, Outcome::kAborted);
    return false;
  }
  return true;
}

/** Everything from `source` has been delivered. False if the connection ended. */
bool Engine::close_half(Connection &connection, Leg source) {
  connection.from(source).shut = true;
  if (connection.to(source).shut) {
    end(connection, Outcome::kClosed); // which tells the sink as well
    return false;
  }
  const Fd &sink = source == Leg::kClient ? connection.endpoint : connection.client;
  ::shutdown(sink.get(), SHUT_WR);
  connection.active_ms = now_ms_;
  watch_limits(connection);
  return true;
}

namespace {

constexpr uint64_t kNever = ~0ULL;
/** Most connections are over by then, and spare the calls that turn keep-alive on. */
constexpr uint64_t kKeepAliveAfterMs = 10'000;

struct Limit {
  uint64_t due_ms;
  Outcome outcome;
};

/** The limit that a connection reaches first, as things are. */
Limit next_limit(const Connection &connection) {
  const auto after = [](uint64_t since, uint32_t limit) { return limit ? since + limit : kNever; };
  const bool half_closed = connection.up.shut || connection.down.shut;
  const bool silent = connection.up.bytes == 0 && connection.down.bytes == 0;
  Limit first =
      half_closed
          ? Limit{after(connection.active_ms, connection.half_closed_ms), Outcome::kIdleHalfClosed}
          : Limit{after(connection.active_ms, connection.idle_ms), Outcome::kIdle};
  const Limit others[] = {
      {silent ? after(connection.relay_ms, connection.silent_ms) : kNever, Outcome::kSilent},
      {after(connection.relay_ms, connection.lifetime_ms), Outcome::kLifetime},
  };
  for (const Limit &limit : others)
    if (limit.due_ms < first.due_ms)
      first = limit;
  return first;
}

} // namespace

/** Bytes do not move the timer: it is looked at when it fires, and set again. */
void Engine::watch_limits(Connection &connection) {
  uint64_t due_ms = next_limit(connection).due_ms;
  if (!connection.asks_peer)
    due_ms = std::min(due_ms, connection.relay_ms + kKeepAliveAfterMs);
  if (due_ms == kNever)
    TimerWheel::cancel(connection.timer);
  else
    timers_.arm(connection.timer, due_ms);
}

void Engine::check_limits(Connection &connection) {
  const Limit limit = next_limit(connection);
  if (limit.due_ms <= now_ms_)
    return end(connection, limit.outcome);
  if (!connection.asks_peer && now_ms_ >= connection.relay_ms + kKeepAliveAfterMs) {
    keep_alive(connection.endpoint.get());
    connection.asks_peer = true;
  }
  watch_limits(connection);
}

void Engine::on_timer(Connection &connection) {
  switch (connection.state) {
  case State::kPeeking:
    look(connection, true);
    return;
  case State::kConnecting:
    return next_attempt(connection, ETIMEDOUT);
  case State::kRelaying:
    return check_limits(connection);
  default:
    return;
  }
}

/** Both sides hear it: as a close if both had closed, and as a reset otherwise. */
void Engine::end(Connection &connection, Outcome outcome) {
  const bool connected = connection.state == State::kRelaying;
  Event event = this->event(EventKind::kEnded, connection);
  event.duration_us = static_cast<double>(monotonic_us() - connection.begun_us);
  auto &ended = event.ended;
  ended.outcome = outcome;
  ended.from_client = static_cast<double>(connection.up.bytes);
  ended.from_endpoint = static_cast<double>(connection.down.bytes);
  if (connection.client) {
    event.flags |= kHasClientLeg;
    ended.client = leg_info(connection.client.get());
  }
  if (connected && connection.endpoint) {
    event.flags |= kHasEndpointLeg;
    ended.endpoint = leg_info(connection.endpoint.get());
  }
  if (outcome != Outcome::kClosed) {
    reset_on_close(connection.client.get());
    if (connection.endpoint)
      reset_on_close(connection.endpoint.get());
  }
  outbox_.lazy(event, now_us_);
  release(connection);
}

void Engine::release(Connection &connection) {
  connection.up.drop(mover_);
  connection.down.drop(mover_);
  if (connection.adopted)
    adopted_.erase(connection.id);
  slots_.give(connection);
}

} // namespace shunt::relay
