// Addresses in messages have 16 bytes, IPv4 as ::ffff:a.b.c.d.
#pragma once

#include "../net/endpoint.h"

namespace shunt::relay {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

inline Endpoint endpoint_of(const uint8_t address[16], uint16_t port) {
  if (std::memcmp(address, kMappedPrefix, sizeof kMappedPrefix) == 0)
    return Endpoint::of(address + sizeof kMappedPrefix, 4, port);
  return Endpoint::of(address, 16, port);
}

/** False for a family that is neither. */
inline bool write_address(const sockaddr_storage &from, uint8_t address[16], uint16_t &port) {
  if (from.ss_family == AF_INET6) {
    const auto &v6 = reinterpret_cast<const sockaddr_in6 &>(from);
    std::memcpy(address, &v6.sin6_addr, 16);
    port = ntohs(v6.sin6_port);
    return true;
  }
  if (from.ss_family != AF_INET)
    return false;
  const auto &v4 = reinterpret_cast<const sockaddr_in &>(from);
  std::memcpy(address, kMappedPrefix, sizeof kMappedPrefix);
  std::memcpy(address + sizeof kMappedPrefix, &v4.sin_addr, 4);
  port = ntohs(v4.sin_port);
  return true;
}

} // namespace shunt::relay
