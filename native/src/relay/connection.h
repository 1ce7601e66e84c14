// One accepted connection, from accept to its end.
//
//   waiting ──▶ peeking ──▶ waiting      waiting ──▶ connecting ──▶ relaying
//      ▲  (for a verdict)                               │
//      └───────────────────── exhausted ────────────────┘
#pragma once

#include "../fd.h"
#include "direction.h"
#include "timer_wheel.h"

#include <memory>
#include <type_traits>

namespace shunt::relay {

enum class State : uint8_t { kFree, kWaiting, kPeeking, kConnecting, kRelaying };

enum class Leg : uint32_t { kClient = 0, kEndpoint = 1 };

/** Needed only until an endpoint answers. */
struct Connecting {
  Command command;
  uint32_t index;
  uint64_t attempt_us, deadline_us;
};

struct Connection {
  Timer timer; // first, because a timer that fires is turned into its connection
  Fd client, endpoint;
  uint32_t id = 0;     // what JavaScript calls it
  uint32_t slot = 0;   // where it lives, and where its bytes are published
  uint32_t serial = 0; // tells its events from those of who had the slot before
  State state = State::kFree;
  bool gone : 1 = false;    // reset by the client while it waited; told with the verdict
  bool hung_up : 1 = false; // the client will send no more
  bool queued : 1 = false;  // in the list of those that have more to do
  bool adopted : 1 = false;
  bool reads_late : 1 = false; // SO_RCVLOWAT is not 1
  bool asks_peer : 1 = false;  // keep-alive of the endpoint is on
  uint32_t wanted = 0;         // bytes to peek
  uint32_t idle_ms = 0, half_closed_ms = 0, silent_ms = 0, lifetime_ms = 0;
  uint64_t begun_us = 0;  // accepted
  uint64_t active_ms = 0; // when a byte last moved
  uint64_t relay_ms = 0;  // since when it is relayed
  Direction up, down;     // from the client, from the endpoint
  std::unique_ptr<Connecting> connecting;

  /** The direction that reads from this leg. */
  Direction &from(Leg leg) { return leg == Leg::kClient ? up : down; }
  Direction &to(Leg leg) { return leg == Leg::kClient ? down : up; }
};
static_assert(std::is_standard_layout_v<Connection>);

} // namespace shunt::relay
