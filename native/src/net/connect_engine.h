// Connects without blocking, on one thread of its own.
//
//   caller ──submit, cancel──▶ queue ──eventfd──▶ epoll thread ──done(id, fd, error)──▶ caller's
//   callback
//
// Every submitted request ends in exactly one call of `done`, on the engine's thread, except those
// that are pending when the engine is destroyed: they end silently and their sockets are closed. No
// Node here.
#pragma once

#include "../fd.h"
#include "endpoint.h"

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

namespace shunt {

struct ConnectRequest {
  uint32_t id = 0;
  Endpoint to;
  std::optional<Endpoint> source;
  uint32_t mark = 0;
  /** 0: the kernel's own limit. */
  uint32_t timeout_ms = 0;
};

class ConnectEngine {
public:
  /** `error` is 0 and the fd belongs to the callee, or an errno and the fd is empty. Must not
   * throw. */
  using Done = std::function<void(uint32_t id, Fd fd, int error)>;

  explicit ConnectEngine(Done done);
  /** Joins the thread. Must not be called from `done`. */
  ~ConnectEngine();
  ConnectEngine(const ConnectEngine &) = delete;
  ConnectEngine &operator=(const ConnectEngine &) = delete;

  void submit(ConnectRequest request);
  /** Ends with ECANCELED if it is still pending; otherwise nothing happens. */
  void cancel(uint32_t id);

private:
  using Clock = std::chrono::steady_clock;
  using Deadlines = std::multimap<Clock::time_point, uint32_t>;

  struct Pending {
    Fd fd;
    Deadlines::iterator deadline;
  };
  struct Command {
    /** Empty: cancel `id`. */
    std::optional<ConnectRequest> request;
    uint32_t id;
  };

  void run();
  void wake();
  void take_commands();
  void start(const ConnectRequest &request);
  void finish(uint32_t id, int error);
  void expire();
  int wait_ms() const;

  Done done_;
  Fd epoll_;
  Fd wake_;
  std::mutex mutex_;
  std::vector<Command> commands_; // guarded by mutex_
  bool stop_ = false;             // guarded by mutex_
  // The rest belongs to the thread.
  std::unordered_map<uint32_t, Pending> pending_;
  Deadlines deadlines_;
  std::thread thread_;
};

} // namespace shunt
