// The engine's ends of the two rings: it writes events and reads commands.
#pragma once

#include "shared_memory.h"

#include <cstring>

namespace shunt::relay {

class EventRing {
public:
  explicit EventRing(const SharedMemory &memory) : memory_(memory) {
    head_ = memory.word(Word::kEventHead).load(std::memory_order_relaxed);
    tail_ = memory.word(Word::kEventTail).load(std::memory_order_acquire);
  }

  /** False when JavaScript has not read enough yet. */
  bool push(const Event &event) {
    if (head_ - tail_ >= memory_.event_capacity()) {
      tail_ = memory_.word(Word::kEventTail).load(std::memory_order_acquire);
      if (head_ - tail_ >= memory_.event_capacity())
        return false;
    }
    std::memcpy(memory_.event(head_), &event, sizeof event);
    // Sequentially consistent, because the next thing that is looked at is whether JavaScript has
    // been woken, while JavaScript says that it has not been and then looks at this word.
    memory_.word(Word::kEventHead).store(++head_, std::memory_order_seq_cst);
    return true;
  }
  bool all_read() const {
    return memory_.word(Word::kEventTail).load(std::memory_order_acquire) == head_;
  }

private:
  const SharedMemory &memory_;
  uint32_t head_, tail_;
};

class CommandRing {
public:
  explicit CommandRing(const SharedMemory &memory) : memory_(memory) {
    tail_ = memory.word(Word::kCommandTail).load(std::memory_order_relaxed);
  }

  /** How far JavaScript wrote. */
  uint32_t head() const { return memory_.word(Word::kCommandHead).load(std::memory_order_seq_cst); }
  bool waiting() const { return head() != tail_; }
  /** False when everything before `head` has been taken. */
  bool pop(uint32_t head, Command &command) {
    if (head == tail_)
      return false;
    std::memcpy(&command, memory_.command(tail_), sizeof command);
    memory_.word(Word::kCommandTail).store(++tail_, std::memory_order_release);
    return true;
  }

private:
  const SharedMemory &memory_;
  uint32_t tail_;
};

} // namespace shunt::relay
