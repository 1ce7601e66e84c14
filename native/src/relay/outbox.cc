#include "outbox.h"

#include <algorithm>

namespace shunt::relay {

void Outbox::add(const Event &event) {
  if (!overflow_.empty() || !ring_.push(event))
    overflow_.push_back(event);
}

void Outbox::flush(uint64_t now_ms) {
  while (!overflow_.empty() && ring_.push(overflow_.front()))
    overflow_.pop_front();
  const bool overdue = lazy_since_ms_ != 0 && now_ms >= lazy_since_ms_ + kLazyMs;
  if (!urgent_ && !overdue && !clogged())
    return;
  urgent_ = false;
  lazy_since_ms_ = 0;
  // Whoever has been woken and has not looked yet will see everything that is in the ring by now.
  if (!ring_.all_read() && memory_.word(Word::kWoken).exchange(1) == 0)
    wake_();
}

uint64_t Outbox::wait_ms(uint64_t now_ms, uint64_t most) const {
  if (clogged())
    return std::min(most, kLazyMs);
  if (lazy_since_ms_ == 0)
    return most;
  const uint64_t due = lazy_since_ms_ + kLazyMs;
  return due > now_ms ? std::min(most, due - now_ms) : 0;
}

} // namespace shunt::relay
