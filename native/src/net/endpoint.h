// An address and port of either family, as the kernel wants them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace shunt {

struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;

  /** `bytes` has 4 or 16 bytes in network order; the caller has checked. */
  static Endpoint of(const uint8_t *bytes, size_t length, uint16_t port) {
    Endpoint endpoint;
    if (length == 4) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      std::memcpy(&v4.sin_addr, bytes, 4);
      std::memcpy(&endpoint.storage, &v4, sizeof v4);
      endpoint.size = sizeof v4;
    } else {
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      std::memcpy(&v6.sin6_addr, bytes, 16);
      std::memcpy(&endpoint.storage, &v6, sizeof v6);
      endpoint.size = sizeof v6;
    }
    return endpoint;
  }

  int family() const { return storage.ss_family; }
  const sockaddr *address() const { return reinterpret_cast<const sockaddr *>(&storage); }
};

} // namespace shunt
