// What JavaScript says about connections and listeners, and what it is asked.

#include "address.h"
#include "engine.h"
#include "socket_calls.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <thread>

namespace shunt::relay {

void Engine::obey(const Command &command) {
  switch (command.kind) {
  case CommandKind::kAddListener:
    return acceptor_.add(command.fd);
  case CommandKind::kRemoveListener: {
    acceptor_.remove(command.fd);
    Event removed{};
    removed.kind = EventKind::kListenerRemoved;
    removed.fd = command.fd;
    return outbox_.urgent(removed, now_us_);
  }
  case CommandKind::kStall:
    std::this_thread::sleep_for(std::chrono::milliseconds(command.attempt_timeout_ms));
    return;
  case CommandKind::kDie:
    throw std::runtime_error("the engine was told to die");
  default:
    break;
  }

  Connection *found = find(command.connection);
  if (found == nullptr)
    return; // late news for a connection that has ended
  Connection &connection = *found;
  if (command.kind == CommandKind::kAbort)
    return end(connection, Outcome::kAborted);
  if (connection.state != State::kWaiting)
    return;
  // The socket was kept until now because JavaScript may have been looking at its first bytes.
  if (connection.gone)
    return end(connection, Outcome::kClientGone);
  switch (command.kind) {
  case CommandKind::kConnect:
    return start_connecting(connection, command);
  case CommandKind::kPeek:
    return start_peek(connection, command);
  case CommandKind::kHandOver:
    return hand_over(connection);
  case CommandKind::kRefuse:
    return end(connection, Outcome::kRefused);
  default:
    return;
  }
}

void Engine::accepted(Accepted accepted) {
  Connection *taken = slots_.take();
  if (taken == nullptr) {
    refused_++;
    return reset_on_close(accepted.fd.get());
  }
  Connection &connection = *taken;
  connection.client = std::move(accepted.fd);
  connection.begun_us = monotonic_us();
  if (const int error = watch(connection, Leg::kClient)) {
    counters_.memory_shortages++;
    reset_on_close(connection.client.get());
    release(connection);
    return accept_failed(-1, error);
  }
  memory_.publish_bytes(connection.slot, 0, 0);
  Event event = this->event(EventKind::kAccepted, connection);
  auto &told = event.accepted;
  write_address(accepted.client, told.client, told.client_port);
  if (accepted.destination_known &&
      write_address(accepted.destination, told.destination, told.destination_port))
    event.flags |= kDestinationKnown;
  outbox_.urgent(event, now_us_);
}

void Engine::accept_failed(int listener, int error) {
  Event event{};
  event.kind = EventKind::kAcceptFailed;
  event.fd = listener;
  event.error = error;
  event.index = 1;
  outbox_.urgent(event, now_us_);
}

void Engine::start_peek(Connection &connection, const Command &command) {
  connection.state = State::kPeeking;
  connection.wanted = std::max<uint32_t>(1, command.skip_bytes);
  if (look(connection, false))
    return;
  // From now on epoll is silent until so much waits; if it came meanwhile, this call says so.
  connection.reads_late = true;
  set_low_water(connection.client.get(), connection.wanted);
  timers_.arm(connection.timer, now_ms_ + command.attempt_timeout_ms);
}

/** True if JavaScript has been told that it can look. */
bool Engine::look(Connection &connection, bool time_over) {
  const uint32_t waiting = bytes_waiting(connection.client.get());
  const bool enough = waiting >= connection.wanted;
  if (!enough && !time_over && !connection.hung_up)
    return false;
  if (connection.reads_late) {
    // Which makes epoll tell of what waits already.
    set_low_water(connection.client.get(), 1);
    connection.reads_late = false;
  }
  TimerWheel::cancel(connection.timer);
  connection.state = State::kWaiting;
  Event event = this->event(EventKind::kReadable, connection);
  event.readable.waiting = waiting;
  if (!enough)
    event.flags |= kOver;
  outbox_.urgent(event, now_us_);
  return true;
}

/** The socket is JavaScript's from here on. */
void Engine::hand_over(Connection &connection) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.client.get(), nullptr);
  outbox_.urgent(event(EventKind::kHandedOver, connection), now_us_);
  connection.client.release();
  release(connection);
}

void Engine::take_in(Adoption &adoption) {
  Connection *taken = slots_.take();
  if (taken == nullptr) {
    reset_on_close(adoption.client.get());
    reset_on_close(adoption.endpoint.get());
    refused_++;
    Event event{};
    event.kind = EventKind::kEnded;
    event.connection = adoption.id;
    event.ended.outcome = Outcome::kAborted;
    return outbox_.lazy(event, now_us_);
  }
  Connection &connection = *taken;
  connection.id = adoption.id;
  connection.adopted = true;
  adopted_.emplace(adoption.id, std::pair(connection.slot, connection.serial));
  connection.client = std::move(adoption.client);
  connection.endpoint = std::move(adoption.endpoint);
  connection.begun_us = monotonic_us();
  connection.idle_ms = adoption.idle_ms;
  connection.half_closed_ms = adoption.half_closed_ms;
  connection.silent_ms = adoption.silent_ms;
  connection.lifetime_ms = adoption.lifetime_ms;
  memory_.publish_bytes(connection.slot, 0, 0);
  const auto keep = [](Direction &direction, const std::vector<uint8_t> &first) {
    return first.empty() || direction.keep(first.data(), first.size());
  };
  bool usable = keep(connection.up, adoption.to_endpoint);
  usable = keep(connection.down, adoption.to_client) && usable;
  for (const int fd : {connection.client.get(), connection.endpoint.get()}) {
    const int flags = ::fcntl(fd, F_GETFL);
    usable = usable && flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
    usable = usable && read_urgent_inline(fd) == 0;
  }
  usable = usable && watch(connection, Leg::kClient) == 0;
  usable = usable && watch(connection, Leg::kEndpoint) == 0;
  if (!usable) {
    counters_.memory_shortages++;
    return end(connection, Outcome::kAborted);
  }
  Event event = this->event(EventKind::kConnected, connection);
  event.index = connection.slot;
  outbox_.lazy(event, now_us_);
  start_relaying(connection);
}

} // namespace shunt::relay
