#include "slots.h"

#include <algorithm>
#include <new>

namespace shunt::relay {

namespace {

constexpr uint32_t kGenerations = 1U << 11;
constexpr uint32_t kSlotMask = (1U << SharedMemory::kSlotBits) - 1;
/** Serials have to leave room for the tag of an epoll event. */
constexpr uint32_t kSerialMask = (1U << 30) - 1;

} // namespace

Slots::Slots(uint32_t most)
    : most_(most), generations_(new uint16_t[most]), free_(new uint32_t[most]) {
  blocks_.reserve((most + kBlock - 1) / kBlock);
}

Connection *Slots::take() {
  if (free_count_ < kRest && !grow() && free_count_ == 0)
    return nullptr;
  const uint32_t slot = free_[first_free_];
  first_free_ = (first_free_ + 1) % most_;
  free_count_--;
  in_use_++;
  Connection &connection = get(slot);
  generations_[slot] = (generations_[slot] + 1) % kGenerations;
  serial_ = (serial_ + 1) & kSerialMask;
  connection.slot = slot;
  connection.serial = serial_;
  connection.id = slot | uint32_t{generations_[slot]} << SharedMemory::kSlotBits;
  connection.state = State::kWaiting;
  return &connection;
}

/** Adds a block of slots, while there may be more. */
bool Slots::grow() {
  if (made_ >= most_)
    return false;
  std::unique_ptr<Connection[]> block(new (std::nothrow) Connection[kBlock]);
  if (!block)
    return false;
  blocks_.push_back(std::move(block));
  for (const uint32_t end = std::min(made_ + kBlock, most_); made_ < end; made_++) {
    generations_[made_] = 0;
    add_free(made_);
  }
  return true;
}

void Slots::give(Connection &connection) {
  const uint32_t slot = connection.slot;
  TimerWheel::cancel(connection.timer);
  connection = Connection();
  in_use_--;
  add_free(slot);
}

Connection *Slots::find(uint32_t id) {
  const uint32_t slot = id & kSlotMask;
  if (slot >= made_)
    return nullptr;
  Connection &connection = get(slot);
  return connection.state != State::kFree && connection.id == id ? &connection : nullptr;
}

Connection *Slots::at(uint32_t slot, uint32_t serial) {
  if (slot >= made_)
    return nullptr;
  Connection &connection = get(slot);
  return connection.state != State::kFree && connection.serial == serial ? &connection : nullptr;
}

} // namespace shunt::relay
