#include "order.h"

#include <cstring>

namespace shunt::load {

Order make_order(OrderKind kind, uint64_t nonce) {
  Order order{};
  std::memcpy(order.magic, "LOAD", 4);
  order.kind = kind;
  order.nonce = nonce;
  for (size_t i = 0; i < sizeof order.rest; i++)
    order.rest[i] = static_cast<uint8_t>(nonce * 31 + i);
  return order;
}

bool is_order(const Order &order) {
  return std::memcmp(order.magic, "LOAD", 4) == 0 && order.kind >= OrderKind::kEcho &&
         order.kind <= OrderKind::kSilence;
}

uint32_t up_seed(uint64_t nonce) { return static_cast<uint32_t>(nonce * 2); }
uint32_t down_seed(uint64_t nonce) { return static_cast<uint32_t>(nonce * 2 + 1); }

} // namespace shunt::load
