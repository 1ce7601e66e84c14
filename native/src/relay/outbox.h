// Events on their way to JavaScript, and when to wake it for them: waking a thread costs as much as
// relaying a message, so one wake-up should tell of much. What somebody waits for wakes it as soon
// as the loop has nothing else to do, or a moment later if it always has; the rest rides along with
// the next wake-up, or has one of its own a few milliseconds later.
#pragma once

#include "rings.h"

#include <algorithm>
#include <deque>
#include <functional>

namespace shunt::relay {

class Outbox {
public:
  static constexpr uint64_t kUrgentUs = 200;
  static constexpr uint64_t kLazyUs = 5'000;

  /** `wake` is called on the engine's thread and must not block. */
  Outbox(const SharedMemory &memory, std::function<void()> wake)
      : memory_(memory), ring_(memory), wake_(std::move(wake)) {}

  void urgent(const Event &event, uint64_t now_us) {
    due_us_ = std::min(due_us_, now_us + kUrgentUs);
    urgent_ = true;
    add(event);
  }
  void lazy(const Event &event, uint64_t now_us) {
    due_us_ = std::min(due_us_, now_us + kLazyUs);
    add(event);
  }

  /** At the end of every turn. `idle`: it found nothing to do. */
  void flush(uint64_t now_us, bool idle);
  /** How long the loop may sleep on behalf of what is in here. */
  uint64_t wait_ms(uint64_t now_us, uint64_t most) const;
  /** JavaScript does not keep up: nothing is lost, but nothing should be added by choice. */
  bool clogged() const { return !overflow_.empty(); }

private:
  static constexpr uint64_t kNever = ~0ULL;

  void add(const Event &event);

  const SharedMemory &memory_;
  EventRing ring_;
  std::function<void()> wake_;
  std::deque<Event> overflow_;
  bool urgent_ = false;
  uint64_t due_us_ = kNever; // of the next wake-up
};

} // namespace shunt::relay
