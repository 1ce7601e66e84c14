#include "outbox.h"

namespace shunt::relay {

void Outbox::add(const Event &event) {
  if (!overflow_.empty() || !ring_.push(event))
    overflow_.push_back(event);
}

void Outbox::flush(uint64_t now_us, bool idle) {
  while (!overflow_.empty() && ring_.push(overflow_.front()))
    overflow_.pop_front();
  if (now_us < due_us_ && !(urgent_ && idle) && !clogged())
    return;
  urgent_ = false;
  due_us_ = kNever;
  // Whoever has been woken and has not looked yet will see everything that is in the ring by now.
  if (!ring_.all_read() && memory_.word(Word::kWoken).exchange(1) == 0)
    wake_();
}

uint64_t Outbox::wait_ms(uint64_t now_us, uint64_t most) const {
  if (urgent_)
    return 0; // a look whether there is more to tell
  if (clogged())
    return std::min(most, kLazyUs / 1000);
  if (due_us_ == kNever)
    return most;
  return due_us_ > now_us ? std::min(most, (due_us_ - now_us + 999) / 1000) : 0;
}

} // namespace shunt::relay
