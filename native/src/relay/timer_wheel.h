// Time limits of many connections: arming, moving and cancelling cost the same whatever their
// number. A timer fires not before it is due, and at most one tick after (if the wheel is advanced
// in time).
//
// Two wheels: the near one has a list for every tick of the next two seconds, the far one a list
// for every turn of the near one. Only what is due soon is in the near wheel, so that looking for
// the next time to wake up is a short walk over empty lists.
#pragma once

#include <array>
#include <cstdint>

namespace shunt::relay {

struct Timer {
  Timer *previous = nullptr, *next = nullptr;
  uint64_t due_tick = 0;

  bool armed() const { return next != nullptr; }
};

class TimerWheel {
public:
  static constexpr uint64_t kTickMs = 8;

  explicit TimerWheel(uint64_t now_ms);
  TimerWheel(const TimerWheel &) = delete;
  TimerWheel &operator=(const TimerWheel &) = delete;

  /** Also moves a timer that is armed. What is due already fires with the next tick. */
  void arm(Timer &timer, uint64_t due_ms);
  static void cancel(Timer &timer);
  /** Calls `fire(Timer &)` for each that is due; it may arm and cancel any timer. */
  template <typename Fire> void advance(uint64_t now_ms, Fire &&fire) {
    const uint64_t now = now_ms / kTickMs;
    while (tick_ < now) {
      List due;
      next_tick(due);
      while (Timer *timer = due.first()) {
        cancel(*timer);
        fire(*timer);
      }
    }
  }
  /** Until the next timer may be due, at most `most`. */
  uint64_t wait_ms(uint64_t now_ms, uint64_t most) const;

private:
  static constexpr uint64_t kNear = 256;
  static constexpr uint64_t kFar = 1024;

  /** A ring with the list's own node in it. */
  struct List {
    Timer end;

    List() { end.previous = end.next = &end; }
    List(const List &) = delete;
    List &operator=(const List &) = delete;
    Timer *first() { return end.next == &end ? nullptr : end.next; }
    bool empty() const { return end.next == &end; }
    void add(Timer &timer);
    void take_all(List &other);
  };

  void next_tick(List &due);
  void place(Timer &timer);

  uint64_t tick_; // the last one that was taken
  std::array<List, kNear> near_;
  std::array<List, kFar> far_;
};

} // namespace shunt::relay
