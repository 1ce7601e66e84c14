// What the relay engine and JavaScript tell each other: fixed records in two rings in shared
// memory, one of each direction. agent/kernel/relay-rings.ts has the same layout; a test compares
// the two. Addresses are in network order, IPv4 as ::ffff:a.b.c.d; ports and all other numbers are
// in host order. Counts that may be large are doubles, which JavaScript reads without BigInt.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shunt::relay {

enum class EventKind : uint32_t {
  kAccepted = 1,
  kReadable = 2,
  kAttemptFailed = 3,
  kConnected = 4,
  kExhausted = 5,
  kHandedOver = 6,
  kEnded = 7,
  kAcceptFailed = 8,
  kListenerRemoved = 9,
};

enum class Outcome : uint32_t {
  kClosed = 1,
  kResetByClient = 2,
  kResetByEndpoint = 3,
  kIdle = 4,
  kIdleHalfClosed = 5,
  kSilent = 6,
  kLifetime = 7,
  kAborted = 8,
  kRefused = 9,
  kClientGone = 10,
};

struct LegInfo {
  uint32_t rtt_us, rtt_variance_us, retransmits, lost;
};

struct Event {
  EventKind kind;
  uint32_t connection;
  int32_t fd;    // accepted, readable, handed over, listener removed
  int32_t error; // errno: attempt failed, accept failed (ENOSPC: no slot was left, and the
                 // connections were reset)
  // Candidate: attempt failed, connected. Of an adopted connection, connected: the slot where its
  // bytes are counted. Accept failed: how often since the last such event.
  uint32_t index;
  uint32_t flags; // kDestinationKnown | kOver | kHasClientLeg | kHasEndpointLeg
  double duration_us;
  union {
    struct {
      uint8_t client[16];
      uint8_t destination[16];
      uint16_t client_port, destination_port;
    } accepted;
    struct {
      uint32_t waiting;
    } readable;
    struct {
      double from_client, from_endpoint;
      Outcome outcome;
      uint32_t reserved;
      LegInfo client, endpoint;
    } ended;
  };
  uint8_t padding[40];
};
static_assert(sizeof(Event) == 128);

enum EventFlags : uint32_t {
  kDestinationKnown = 1,
  kOver = 2,
  kHasClientLeg = 4,
  kHasEndpointLeg = 8,
};

enum class CommandKind : uint32_t {
  kAddListener = 1,
  kRemoveListener = 2,
  kConnect = 3,
  kPeek = 4,
  kHandOver = 5,
  kRefuse = 6,
  kAbort = 7,
  kAdopt = 8,
  kStall = 9, // sleeps for attempt_timeout_ms: for tests of what watches the engine
  kDie = 10,  // ends the thread as a defect would: likewise
};

struct Candidate {
  uint8_t address[16];
  uint16_t port;
  uint16_t padding;
};

constexpr size_t kMaxCandidates = 6;
constexpr size_t kMaxPrefix = 72;

struct Command {
  CommandKind kind;
  uint32_t connection; // for kAdopt chosen by JavaScript, with the top bit of 31 set
  uint32_t mark;
  uint32_t attempt_timeout_ms; // kPeek: how long to wait
  uint32_t deadline_ms;
  uint32_t skip_bytes; // kPeek: at least so many
  uint32_t idle_ms, half_closed_ms, silent_ms, lifetime_ms;
  uint8_t candidate_count, prefix_length;
  uint16_t reserved;
  int32_t fd, other_fd; // listener; kAdopt: client and endpoint
  uint32_t reserved2[3];
  Candidate candidates[kMaxCandidates];
  uint8_t prefix[kMaxPrefix];
};
static_assert(sizeof(Command) == 256);

} // namespace shunt::relay
