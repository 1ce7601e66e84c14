// The memory that one engine shares with JavaScript: a header of words and counters, the event
// ring, the command ring, and the bytes of every connection slot. JavaScript made it and wrote the
// sizes into the header; it must stay where it is as long as the engine lives.
//
// Both sides read and write it at the same time, so every access to header, counters and bytes is
// atomic. Records in the rings belong to one side at a time.
#pragma once

#include "messages.h"

#include <array>
#include <atomic>
#include <bit>
#include <stdexcept>

namespace shunt::relay {

/** 32-bit words from the start of the memory. */
enum class Word : size_t {
  kEventHead,       // the engine wrote up to here, modulo 2^32
  kEventTail,       // JavaScript read up to here
  kCommandHead,     // JavaScript wrote
  kCommandTail,     // the engine read
  kSleeps,          // 1: a command needs a wake-up
  kWoken,           // 1: JavaScript has been told and has not looked yet; it sets 0, then reads
  kTurns,           // how often the loop went round, modulo 2^32
  kEventCapacity,   // a power of two
  kCommandCapacity, // a power of two
  kSlots,           // connections, at most 2^19
  kDied,            // 1: the thread ended by a defect; nothing will happen any more
};

/** Doubles, in this order. */
struct Counters {
  double connections, pipes_in_use, pipes_pooled;
  double spliced_bytes, copied_bytes;
  double pipe_shortages, descriptor_shortages, memory_shortages, port_shortages;
};

class SharedMemory {
public:
  static constexpr size_t kHeaderSize = 4096;
  static constexpr size_t kCountersAt = 128;
  static constexpr uint32_t kSlotBits = 19;
  static constexpr size_t kSlotSize = 2 * sizeof(double);

  SharedMemory(void *data, size_t size) : base_(static_cast<uint8_t *>(data)) {
    if (size < kHeaderSize || reinterpret_cast<uintptr_t>(data) % alignof(double) != 0)
      throw std::invalid_argument("the memory of a relay has no header");
    events_ = load(Word::kEventCapacity);
    commands_ = load(Word::kCommandCapacity);
    slots_ = load(Word::kSlots);
    if (!is_power_of_two(events_) || !is_power_of_two(commands_) || slots_ == 0 ||
        slots_ > (1U << kSlotBits) || size < size_for(events_, commands_, slots_))
      throw std::invalid_argument("the sizes in the header of a relay's memory are wrong");
  }

  static constexpr size_t size_for(size_t events, size_t commands, size_t slots) {
    return kHeaderSize + events * sizeof(Event) + commands * sizeof(Command) + slots * kSlotSize;
  }

  std::atomic_ref<uint32_t> word(Word word) const {
    return std::atomic_ref(reinterpret_cast<uint32_t *>(base_)[static_cast<size_t>(word)]);
  }
  uint32_t event_capacity() const { return events_; }
  uint32_t command_capacity() const { return commands_; }
  uint32_t slots() const { return slots_; }

  uint8_t *event(uint32_t count) const {
    return base_ + kHeaderSize + size_t{count & (events_ - 1)} * sizeof(Event);
  }
  uint8_t *command(uint32_t count) const {
    return base_ + kHeaderSize + events_ * sizeof(Event) +
           size_t{count & (commands_ - 1)} * sizeof(Command);
  }

  void publish(const Counters &counters) const {
    size_t at = kCountersAt;
    for (const double value : std::bit_cast<std::array<double, sizeof counters / 8>>(counters)) {
      store(at, value);
      at += sizeof value;
    }
  }
  void publish_bytes(uint32_t slot, uint64_t from_client, uint64_t from_endpoint) const {
    const size_t at = kHeaderSize + events_ * sizeof(Event) + commands_ * sizeof(Command) +
                      size_t{slot} * kSlotSize;
    store(at, static_cast<double>(from_client));
    store(at + sizeof(double), static_cast<double>(from_endpoint));
  }

private:
  static bool is_power_of_two(uint32_t value) { return value != 0 && (value & (value - 1)) == 0; }
  uint32_t load(Word which) const { return word(which).load(std::memory_order_relaxed); }
  void store(size_t at, double value) const {
    std::atomic_ref(*reinterpret_cast<double *>(base_ + at))
        .store(value, std::memory_order_relaxed);
  }

  uint8_t *base_;
  uint32_t events_ = 0, commands_ = 0, slots_ = 0;
};

} // namespace shunt::relay
