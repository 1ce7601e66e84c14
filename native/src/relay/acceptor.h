// The listening sockets of one engine. They belong to JavaScript; other engines and, during a
// hand-over, another process may accept from the same ones.
#pragma once

#include "../fd.h"
#include "shared_memory.h"

#include <functional>
#include <optional>
#include <sys/socket.h>
#include <vector>

namespace shunt::relay {

struct Accepted {
  Fd fd;
  sockaddr_storage client, destination;
  bool destination_known;
};

class Acceptor {
public:
  /** From one listener in one turn, so that relays are not starved. */
  static constexpr int kBatch = 64;
  /** A full queue. */
  static constexpr int kLastBatch = 8192;
  /** After a lack of descriptors or memory. */
  static constexpr uint64_t kPauseMs = 20;

  using Take = std::function<void(Accepted)>;
  /** A listener and an errno. */
  using Failed = std::function<void(int, int)>;

  Acceptor(int epoll, Counters &counters, Take take, Failed failed)
      : epoll_(epoll), counters_(counters), take_(std::move(take)), failed_(std::move(failed)) {}

  /** Fails with an errno if it is not a listening TCP socket. */
  void add(int fd);
  /** Takes what waits, and no more after that. */
  void remove(int fd);
  /** After epoll said that connections wait. */
  void accept(int fd, uint64_t now_ms);
  /** Once in a turn: watches the listeners, or looks away from them. */
  void watch(bool wanted, uint64_t now_ms);
  uint64_t wait_ms(uint64_t now_ms, uint64_t most) const;

private:
  struct Listener {
    int fd;
    uint16_t port;
  };

  /** It as it was; nullopt if it is none. */
  std::optional<Listener> forget(int fd);
  bool accept_one(const Listener &listener, uint64_t now_ms);
  void fail(int fd, int error, uint64_t now_ms);
  static bool destination_of(const Listener &listener, Accepted &accepted);

  int epoll_;
  Counters &counters_;
  Take take_;
  Failed failed_;
  std::vector<Listener> listeners_;
  bool watching_ = true;
  uint64_t not_before_ms_ = 0;
};

} // namespace shunt::relay
