#include "timer_wheel.h"

#include <algorithm>

namespace shunt::relay {

TimerWheel::TimerWheel(uint64_t now_ms) : tick_(now_ms / kTickMs) {}

void TimerWheel::List::add(Timer &timer) {
  timer.previous = end.previous;
  timer.next = &end;
  end.previous->next = &timer;
  end.previous = &timer;
}

void TimerWheel::List::take_all(List &other) {
  if (other.empty())
    return;
  end.next = other.end.next;
  end.previous = other.end.previous;
  end.next->previous = end.previous->next = &end;
  other.end.previous = other.end.next = &other.end;
}

void TimerWheel::cancel(Timer &timer) {
  if (!timer.armed())
    return;
  timer.previous->next = timer.next;
  timer.next->previous = timer.previous;
  timer.previous = timer.next = nullptr;
}

void TimerWheel::arm(Timer &timer, uint64_t due_ms) {
  cancel(timer);
  timer.due_tick = std::max(tick_ + 1, (due_ms + kTickMs - 1) / kTickMs);
  place(timer);
}

void TimerWheel::place(Timer &timer) {
  if (timer.due_tick - tick_ < kNear) {
    near_[timer.due_tick % kNear].add(timer);
    return;
  }
  // What is due later than the far wheel reaches waits at its end and is placed again from there.
  const uint64_t block = std::min(timer.due_tick / kNear, tick_ / kNear + kFar - 1);
  far_[block % kFar].add(timer);
}

void TimerWheel::next_tick(List &due) {
  tick_++;
  if (tick_ % kNear == 0) {
    List block;
    block.take_all(far_[tick_ / kNear % kFar]);
    while (Timer *timer = block.first()) {
      cancel(*timer);
      place(*timer);
    }
  }
  due.take_all(near_[tick_ % kNear]);
}

uint64_t TimerWheel::wait_ms(uint64_t now_ms, uint64_t most) const {
  // The lists of the far wheel are opened when the near one has turned, so no look beyond that.
  const uint64_t turned = (tick_ / kNear + 1) * kNear;
  const uint64_t last = (now_ms + most) / kTickMs;
  for (uint64_t tick = tick_ + 1; tick <= last; tick++) {
    if (!near_[tick % kNear].empty() || (tick == turned && !far_[tick / kNear % kFar].empty())) {
      const uint64_t at = tick * kTickMs;
      return at > now_ms ? at - now_ms : 0;
    }
  }
  return most;
}

} // namespace shunt::relay
