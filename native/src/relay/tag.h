// What epoll gives back with an event: which thing it is about.
#pragma once

#include "connection.h"

namespace shunt::relay {

constexpr uint64_t kTagMask = 3ULL << 62;
constexpr uint64_t kListenerTag = 1ULL << 62; // and the descriptor
constexpr uint64_t kWakeTag = 2ULL << 62;

/** Neither of the two tags above: serials have 30 bits. */
inline uint64_t tag_of(const Connection &connection, Leg leg) {
  return uint64_t{connection.serial} << 32 | uint64_t{connection.slot} << 1 |
         static_cast<uint32_t>(leg);
}

} // namespace shunt::relay
