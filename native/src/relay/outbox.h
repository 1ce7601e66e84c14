// Events on their way to JavaScript, and when to wake it for them. What somebody waits for wakes it
// at the end of the turn; the rest rides along with the next wake-up, or has one of its own a few
// milliseconds later.
#pragma once

#include "rings.h"

#include <deque>
#include <functional>

namespace shunt::relay {

class Outbox {
public:
  static constexpr uint64_t kLazyMs = 5;

  /** `wake` is called on the engine's thread and must not block. */
  Outbox(const SharedMemory &memory, std::function<void()> wake)
      : memory_(memory), ring_(memory), wake_(std::move(wake)) {}

  void urgent(const Event &event) {
    urgent_ = true;
    add(event);
  }
  void lazy(const Event &event, uint64_t now_ms) {
    if (lazy_since_ms_ == 0)
      lazy_since_ms_ = now_ms;
    add(event);
  }

  /** At the end of every turn. */
  void flush(uint64_t now_ms);
  /** How long the loop may sleep on behalf of what is in here. */
  uint64_t wait_ms(uint64_t now_ms, uint64_t most) const;
  /** JavaScript does not keep up: nothing is lost, but nothing should be added by choice. */
  bool clogged() const { return !overflow_.empty(); }

private:
  void add(const Event &event);

  const SharedMemory &memory_;
  EventRing ring_;
  std::function<void()> wake_;
  std::deque<Event> overflow_;
  bool urgent_ = false;
  uint64_t lazy_since_ms_ = 0; // 0: none waits
};

} // namespace shunt::relay
