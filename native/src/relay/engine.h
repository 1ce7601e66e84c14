// Accepts, connects and relays on one thread, with one epoll, and knows no policy: what JavaScript
// decides comes in as commands, what happens goes out as events.
//
// Every socket is registered once, for edges; what an edge said is kept in the directions. An end
// (`end`, `hand_over`) frees the connection, so functions that may come to one say whether it still
// is.
#pragma once

#include "acceptor.h"
#include "outbox.h"
#include "slots.h"

#include <mutex>
#include <unordered_map>

namespace shunt::relay {

/** Two sockets that somebody else connected. */
struct Adoption {
  uint32_t id = 0;
  Fd client, endpoint;
  uint32_t idle_ms = 0, half_closed_ms = 0, silent_ms = 0, lifetime_ms = 0;
  std::vector<uint8_t> to_endpoint, to_client; // written first
};

class Engine {
public:
  Engine(const SharedMemory &memory, std::function<void()> wake_javascript);
  /** Resets every connection. After run() has ended. */
  ~Engine();
  Engine(const Engine &) = delete;
  Engine &operator=(const Engine &) = delete;

  /** Until stop(); throws if it cannot go on. */
  void run();

  // On any thread:
  void stop();
  void wake();
  void adopt(Adoption adoption);

private:
  // engine.cc: the loop
  void turn();
  int wait_ms() const;
  void dispatch(uint64_t tag, uint32_t events);
  void take_commands();
  void take_more();
  void refresh_clock();
  void enqueue(Connection &connection);
  void publish(bool idle);

  // engine_verdicts.cc: what JavaScript says
  void obey(const Command &command);
  void accepted(Accepted accepted);
  void accept_failed(int listener, int error);
  void start_peek(Connection &connection, const Command &command);
  bool look(Connection &connection, bool time_over);
  void hand_over(Connection &connection);
  void take_in(Adoption &adoption);

  // engine_connect.cc: the way to an endpoint
  void start_connecting(Connection &connection, const Command &command);
  void attempt(Connection &connection);
  bool begin_attempt(Connection &connection);
  void attempt_failed(Connection &connection, int error);
  void next_attempt(Connection &connection, int error);
  void connected(Connection &connection);
  bool skip_and_prefix(Connection &connection);

  // engine_relay.cc: between the two legs, and the end
  void on_leg(Connection &connection, Leg leg, uint32_t events);
  void on_timer(Connection &connection);
  void start_relaying(Connection &connection);
  void relay(Connection &connection, Leg first);
  bool pump(Connection &connection, Leg source);
  bool close_half(Connection &connection, Leg source);
  void watch_limits(Connection &connection);
  void check_limits(Connection &connection);
  void end(Connection &connection, Outcome outcome);
  void release(Connection &connection);
  int watch(const Connection &connection, Leg leg);
  Connection *find(uint32_t id);

  Event event(EventKind kind, const Connection &connection) const;

  SharedMemory memory_;
  CommandRing commands_;
  Outbox outbox_;
  Counters counters_{};
  PipePool pool_;
  std::unique_ptr<uint8_t[]> buffer_;
  Mover mover_;
  Slots slots_;
  TimerWheel timers_;
  Fd epoll_, wake_;
  Acceptor acceptor_;
  uint64_t now_us_, now_ms_;
  uint32_t refused_ = 0;                                    // for lack of a slot, in this turn
  std::vector<std::pair<uint32_t, uint32_t>> more_, taken_; // slots and serials
  std::unordered_map<uint32_t, std::pair<uint32_t, uint32_t>> adopted_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::vector<Adoption> adoptions_; // guarded by mutex_
};

} // namespace shunt::relay
