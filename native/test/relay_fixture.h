// Plays JavaScript to a relay, and the peers on both sides of it, all on loopback.
#pragma once

#include "../src/net/sockets.h"
#include "../src/relay/address.h"
#include "../src/relay/relay.h"
#include "expect.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace shunt::test {

using namespace shunt::relay;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr uint8_t kLoopback[4] = {127, 0, 0, 1};
constexpr auto kPatience = 20s;

struct Sizes {
  uint32_t events = 1024, commands = 1024, slots = 4096;
};

/** The JavaScript side of one relay. */
class Script {
public:
  explicit Script(Sizes sizes = {})
      : size_(SharedMemory::size_for(sizes.events, sizes.commands, sizes.slots)),
        data_(new (std::align_val_t{64}) uint8_t[size_]()) {
    words()[static_cast<size_t>(Word::kEventCapacity)] = sizes.events;
    words()[static_cast<size_t>(Word::kCommandCapacity)] = sizes.commands;
    words()[static_cast<size_t>(Word::kSlots)] = sizes.slots;
    memory_.emplace(data_, size_);
    relay_.emplace(data_, size_, [this] {
      const std::lock_guard lock(mutex_);
      wakes_++;
      woken_.notify_all();
    });
  }
  ~Script() {
    relay_.reset();
    ::operator delete[](data_, std::align_val_t{64});
  }

  void give(const Command &command) {
    const uint32_t head = word(Word::kCommandHead);
    std::memcpy(memory_->command(head), &command, sizeof command);
    memory_->word(Word::kCommandHead).store(head + 1);
    if (word(Word::kSleeps) == 1)
      relay_->wake();
  }
  void give(CommandKind kind, uint32_t connection) {
    Command command{};
    command.kind = kind;
    command.connection = connection;
    give(command);
  }
  void listen(const Fd &listener) { listener_command(CommandKind::kAddListener, listener); }
  void listen_no_more(const Fd &listener) {
    listener_command(CommandKind::kRemoveListener, listener);
  }

  /** The next event of this kind; those of other kinds stay for later calls. */
  std::optional<Event> next(EventKind kind, std::chrono::milliseconds patience = kPatience) {
    const auto until = Clock::now() + patience;
    for (;;) {
      read();
      for (auto each = events_.begin(); each != events_.end(); ++each) {
        if (each->kind != kind)
          continue;
        const Event event = *each;
        events_.erase(each);
        return event;
      }
      std::unique_lock lock(mutex_);
      if (!woken_.wait_until(lock, until, [this] { return wakes_ > 0; }))
        return std::nullopt;
      wakes_ = 0;
    }
  }
  Event must(EventKind kind) {
    const auto event = next(kind);
    EXPECT(event.has_value());
    return event.value_or(Event{});
  }
  bool has(EventKind kind) {
    read();
    for (const Event &event : events_)
      if (event.kind == kind)
        return true;
    return false;
  }

  uint32_t word(Word which) { return memory_->word(which).load(); }
  double counter(double Counters::*which) {
    Counters layout{};
    const auto at =
        reinterpret_cast<uint8_t *>(&(layout.*which)) - reinterpret_cast<uint8_t *>(&layout);
    return number(SharedMemory::kCountersAt + static_cast<size_t>(at));
  }
  /** Live, of a connection that is relayed. */
  std::pair<double, double> bytes(uint32_t slot) {
    const size_t at = size_ - size_t{memory_->slots() - slot} * SharedMemory::kSlotSize;
    return {number(at), number(at + sizeof(double))};
  }
  /** Until the engine has gone round twice, so that what was asked for is done and published. */
  void settle() {
    const uint32_t before = word(Word::kTurns);
    const auto until = Clock::now() + kPatience;
    while (word(Word::kTurns) - before < 3 && Clock::now() < until) {
      relay_->wake();
      std::this_thread::sleep_for(1ms);
    }
  }
  Relay &relay() { return *relay_; }
  void close() { relay_.reset(); }

private:
  uint32_t *words() { return reinterpret_cast<uint32_t *>(data_); }
  double number(size_t at) {
    return std::atomic_ref(*reinterpret_cast<double *>(data_ + at)).load();
  }
  void listener_command(CommandKind kind, const Fd &listener) {
    Command command{};
    command.kind = kind;
    command.fd = listener.get();
    give(command);
  }
  void read() {
    memory_->word(Word::kWoken).store(0);
    const uint32_t head = memory_->word(Word::kEventHead).load();
    for (uint32_t tail = word(Word::kEventTail); tail != head; tail++) {
      Event event;
      std::memcpy(&event, memory_->event(tail), sizeof event);
      events_.push_back(event);
      memory_->word(Word::kEventTail).store(tail + 1);
    }
  }

  size_t size_;
  uint8_t *data_;
  std::optional<SharedMemory> memory_;
  std::mutex mutex_;
  std::condition_variable woken_;
  size_t wakes_ = 0; // guarded by mutex_
  std::deque<Event> events_;
  std::optional<Relay> relay_;
};

inline uint16_t port_of(const Fd &fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr *>(&address), &size);
  return ntohs(address.sin_port);
}

inline Fd listener(int backlog = 1024) {
  return listen_tcp({Endpoint::of(kLoopback, 4, 0), backlog, false, false, false});
}

/** A port that refuses connections as long as the descriptor is open. */
inline Fd refusing() {
  Fd fd = listener();
  ::shutdown(fd.get(), SHUT_RDWR);
  return fd;
}

/** A listener whose queue is full, so that further connections stay pending. */
struct BlackHole {
  Fd listener;
  std::vector<Fd> queue;

  BlackHole() : listener(test::listener(0)) {
    const Endpoint to = Endpoint::of(kLoopback, 4, port_of(listener));
    for (int i = 0; i < 8; i++) {
      queue.push_back(outgoing_tcp(AF_INET, 0, std::nullopt));
      ::connect(queue.back().get(), to.address(), to.size);
    }
  }
};

inline void block(const Fd &fd) {
  const timeval patience{20, 0};
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

/** A blocking client. */
inline Fd client_of(const Fd &listener, int receive_buffer = 0) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (receive_buffer > 0)
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  const Endpoint to = Endpoint::of(kLoopback, 4, port_of(listener));
  EXPECT(::connect(fd.get(), to.address(), to.size) == 0);
  block(fd);
  return fd;
}

/** The endpoint's end of a connection, blocking. */
inline Fd accept_on(const Fd &listener) {
  pollfd waiting{listener.get(), POLLIN, 0};
  ::poll(&waiting, 1, 20'000);
  Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT(static_cast<bool>(fd));
  block(fd);
  return fd;
}

inline void write_all(const Fd &fd, const std::string &text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t sent = ::send(fd.get(), text.data() + at, text.size() - at, MSG_NOSIGNAL);
    if (sent <= 0)
      return EXPECT(!"written");
    at += static_cast<size_t>(sent);
  }
}

inline std::string read_some(const Fd &fd, size_t size) {
  std::string text(size, '\0');
  const ssize_t got = ::recv(fd.get(), text.data(), size, MSG_WAITALL);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

/** 0 at a close in order, otherwise the errno. */
inline int end_of(const Fd &fd) {
  char ignored[4096];
  for (;;) {
    const ssize_t got = ::recv(fd.get(), ignored, sizeof ignored, 0);
    if (got == 0)
      return 0;
    if (got < 0)
      return errno;
  }
}

inline void reset(Fd fd) {
  const linger now{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

inline void add_candidate(Command &command, const Fd &listener) {
  Candidate &candidate = command.candidates[command.candidate_count++];
  std::memcpy(candidate.address, kMappedPrefix, sizeof kMappedPrefix);
  std::memcpy(candidate.address + sizeof kMappedPrefix, kLoopback, 4);
  candidate.port = port_of(listener);
}

inline Command connect_command(uint32_t connection, std::initializer_list<const Fd *> to) {
  Command command{};
  command.kind = CommandKind::kConnect;
  command.connection = connection;
  command.attempt_timeout_ms = 200;
  command.deadline_ms = 5000;
  for (const Fd *listener : to)
    add_candidate(command, *listener);
  return command;
}

/** A connection through a relay, with both its ends. */
struct Flow {
  uint32_t id;
  Fd client, endpoint;
};

inline Flow flow(Script &script, const Fd &frontend, const Fd &backend, Command limits = {},
                 int client_buffer = 0) {
  Flow flow;
  flow.client = client_of(frontend, client_buffer);
  flow.id = script.must(EventKind::kAccepted).connection;
  Command command = connect_command(flow.id, {&backend});
  command.idle_ms = limits.idle_ms;
  command.half_closed_ms = limits.half_closed_ms;
  command.silent_ms = limits.silent_ms;
  command.lifetime_ms = limits.lifetime_ms;
  script.give(command);
  flow.endpoint = accept_on(backend);
  script.must(EventKind::kConnected);
  return flow;
}

} // namespace shunt::test
