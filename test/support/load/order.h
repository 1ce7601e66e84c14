// The first 64 bytes of every connection: what the client wants of the server.
#pragma once

#include "stream.h"

#include <cstdint>

namespace shunt::load {

enum class OrderKind : uint8_t {
  /** Sends back what comes, this order included, until the client closes. */
  kEcho = 1,
  /** Sends this order back and closes first. */
  kEchoAndClose = 2,
  /** Both sides send their pattern, close their half when they are through, and verify the other's.
   */
  kStream = 3,
  /** Sends nothing and reads nothing. */
  kSilence = 4,
};

struct Order {
  char magic[4];
  OrderKind kind;
  /** A stream of the server's begins when the client's is over, as an answer does. */
  uint8_t answers;
  uint8_t padding[2];
  /** Different for each connection, so that an answer of another one is seen. */
  uint64_t nonce;
  uint64_t up_bytes, down_bytes;
  /** How the server is to send and read. */
  Pace pace;
  /** Of one send or read of a stream; 0: as much as may be. */
  uint32_t io_size;
  uint8_t rest[12];
};
static_assert(sizeof(Order) == 64);

Order make_order(OrderKind kind, uint64_t nonce);
bool is_order(const Order &order);

/** Of the bytes that the client, or the server, sends. */
uint32_t up_seed(uint64_t nonce);
uint32_t down_seed(uint64_t nonce);

} // namespace shunt::load
