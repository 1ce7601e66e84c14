// One thread, one epoll, timers of nanoseconds, and the signals that end a run or ask for a report.
#pragma once

#include "fd.h"

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace shunt::load {

/** Something with a descriptor. It may be told of events after it closed that: then it ignores
 * them. */
class Source {
public:
  virtual ~Source() = default;
  virtual void ready(uint32_t events) = 0;
};

class Loop {
public:
  using Work = std::function<void()>;
  using Timer = std::pair<uint64_t, uint64_t>;

  Loop();

  void add(int fd, uint32_t events, Source *source);
  void change(int fd, uint32_t events, Source *source);
  void remove(int fd);

  /** Runs the work at that time of now_ns. */
  Timer at(uint64_t time_ns, Work work);
  Timer after_ms(uint64_t delay_ms, Work work);
  void cancel(const Timer &timer) { timers_.erase(timer); }

  /** Destroys it after the events that are in hand. */
  void bury(std::unique_ptr<Source> source) { buried_.push_back(std::move(source)); }

  /** SIGTERM and SIGINT; without a taker they stop the loop. */
  void on_end(Work work) { on_end_ = std::move(work); }
  /** SIGUSR1. */
  void on_report(Work work) { on_report_ = std::move(work); }

  void run();
  void stop() { stopped_ = true; }

private:
  void take_signals();
  void run_timers();

  Fd epoll_, signals_;
  std::map<Timer, Work> timers_;
  uint64_t timer_count_ = 0;
  std::vector<std::unique_ptr<Source>> buried_;
  Work on_end_, on_report_;
  bool stopped_ = false;
};

/** CLOCK_MONOTONIC. */
uint64_t now_ns();
/** Since 1970, to lay beside another process's log. */
uint64_t wall_ms();

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1'000'000'000;

} // namespace shunt::load
