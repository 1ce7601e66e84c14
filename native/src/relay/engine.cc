#include "engine.h"

#include "../system_error.h"
#include "socket_calls.h"
#include "tag.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>

namespace shunt::relay {

namespace {

constexpr int kMaxEvents = 256;
/** Without work, too: whoever watches the engine sees that it lives. */
constexpr uint64_t kTurnMs = 100;
/** A quarter of a gigabyte of kernel memory at most, and what is worth keeping for later. */
constexpr size_t kMostPipes = 1024;
constexpr size_t kPooledPipes = 32;

} // namespace

Engine::Engine(const SharedMemory &memory, std::function<void()> wake_javascript)
    : memory_(memory), commands_(memory_), outbox_(memory_, std::move(wake_javascript)),
      pool_(kMostPipes, kPooledPipes),
      buffer_(new uint8_t[Mover::kBufferSize]), mover_{pool_, counters_, buffer_.get()},
      slots_(memory.slots()), timers_(monotonic_us() / 1000),
      epoll_(check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC))),
      wake_(check("eventfd", ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))),
      acceptor_(
          epoll_.get(), counters_, [this](Accepted each) { accepted(std::move(each)); },
          [this](int listener, int error) { accept_failed(listener, error); }) {
  refresh_clock();
  epoll_event event{};
  // For edges, so that nobody has to read it.
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = kWakeTag;
  check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event));
}

Engine::~Engine() {
  slots_.each([this](Connection &connection) {
    reset_on_close(connection.client.get());
    if (connection.endpoint)
      reset_on_close(connection.endpoint.get());
    release(connection);
  });
}

void Engine::stop() {
  stop_ = true;
  wake();
}

void Engine::wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the thread is about to wake anyway.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void Engine::adopt(Adoption adoption) {
  {
    const std::lock_guard lock(mutex_);
    adoptions_.push_back(std::move(adoption));
  }
  wake();
}

void Engine::run() {
  while (!stop_)
    turn();
}

void Engine::turn() {
  int wait = wait_ms();
  if (wait > 0) {
    // JavaScript writes a command and then looks whether we sleep; we say so and then look for
    // commands. Both orders are sequentially consistent, so one of us sees the other.
    memory_.word(Word::kSleeps).store(1);
    if (commands_.waiting())
      wait = 0;
  }
  epoll_event events[kMaxEvents];
  const int count = ::epoll_wait(epoll_.get(), events, kMaxEvents, wait);
  memory_.word(Word::kSleeps).store(0, std::memory_order_relaxed);
  if (count < 0 && errno != EINTR)
    throw SystemError("epoll_wait", errno);

  refresh_clock();
  take_more();
  for (int i = 0; i < count; i++)
    dispatch(events[i].data.u64, events[i].events);
  timers_.advance(now_ms_, [this](Timer &timer) {
    on_timer(reinterpret_cast<Connection &>(timer)); // its first member
  });
  take_commands();
  publish(count <= 0 && more_.empty());
}

int Engine::wait_ms() const {
  if (!more_.empty())
    return 0;
  uint64_t wait = outbox_.wait_ms(now_us_, kTurnMs);
  wait = acceptor_.wait_ms(now_ms_, wait);
  return static_cast<int>(timers_.wait_ms(now_ms_, wait));
}

void Engine::refresh_clock() {
  now_us_ = monotonic_us();
  now_ms_ = now_us_ / 1000;
  mover_.now_ms = now_ms_;
}

void Engine::dispatch(uint64_t tag, uint32_t events) {
  switch (tag & kTagMask) {
  case kWakeTag:
    return;
  case kListenerTag:
    return acceptor_.accept(static_cast<int>(static_cast<uint32_t>(tag)), now_ms_);
  default:
    const auto leg = static_cast<Leg>(tag & 1);
    const auto slot = static_cast<uint32_t>(tag) >> 1;
    if (Connection *connection = slots_.at(slot, static_cast<uint32_t>(tag >> 32)))
      on_leg(*connection, leg, events);
  }
}

void Engine::take_commands() {
  // Adoptions come another way than commands. Reading how far the ring goes first makes sure that
  // a command which was given after an adoption finds it done.
  const uint32_t head = commands_.head();
  std::vector<Adoption> adoptions;
  {
    const std::lock_guard lock(mutex_);
    adoptions.swap(adoptions_);
  }
  for (Adoption &adoption : adoptions)
    take_in(adoption);
  Command command;
  while (commands_.pop(head, command))
    obey(command);
}

void Engine::enqueue(Connection &connection) {
  if (connection.queued)
    return;
  connection.queued = true;
  more_.emplace_back(connection.slot, connection.serial);
}

/** Those that had their share in the last turn; new ones wait for the next. */
void Engine::take_more() {
  taken_.clear();
  taken_.swap(more_);
  for (const auto &[slot, serial] : taken_) {
    Connection *connection = slots_.at(slot, serial);
    if (connection == nullptr)
      continue;
    connection->queued = false;
    relay(*connection, Leg::kClient);
  }
}

void Engine::publish(bool idle) {
  if (refused_ > 0) {
    Event full{};
    full.kind = EventKind::kAcceptFailed;
    full.fd = -1;
    full.error = ENOSPC;
    full.index = refused_;
    refused_ = 0;
    outbox_.urgent(full, now_us_);
  }
  outbox_.flush(now_us_, idle);
  acceptor_.watch(!outbox_.clogged(), now_ms_);
  counters_.connections = slots_.in_use();
  counters_.pipes_in_use = static_cast<double>(pool_.in_use());
  counters_.pipes_pooled = static_cast<double>(pool_.pooled());
  memory_.publish(counters_);
  memory_.word(Word::kTurns).fetch_add(1, std::memory_order_relaxed);
}

Event Engine::event(EventKind kind, const Connection &connection) const {
  Event event{};
  event.kind = kind;
  event.connection = connection.id;
  event.fd = connection.client.get();
  return event;
}

Connection *Engine::find(uint32_t id) {
  const auto found = adopted_.find(id);
  if (found != adopted_.end())
    return slots_.at(found->second.first, found->second.second);
  return slots_.find(id);
}

int Engine::watch(const Connection &connection, Leg leg) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  event.data.u64 = tag_of(connection, leg);
  const int fd = leg == Leg::kClient ? connection.client.get() : connection.endpoint.get();
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0 ? errno : 0;
}

} // namespace shunt::relay
