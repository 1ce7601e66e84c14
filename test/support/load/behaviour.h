// How a listening address treats those who connect: `answer`, or one of the ways in which endpoints
// go wrong.
#pragma once

#include <cstdint>
#include <string>

namespace shunt::load {

struct Behaviour {
  enum class Kind {
    /** Does what the order of the connection says. */
    kAnswer,
    /** Resets at once what it accepts. */
    kReset,
    /** Reads so many bytes, then resets. */
    kResetAfter,
    /** Sends so many bytes, then resets. */
    kSendAndReset,
    /** Closes in order what it accepts. */
    kClose,
    /** Closes its half at once, and reads on until the end. */
    kHalfClose,
    /** Accepts, and never reads nor sends. */
    kDeaf,
    /** Reads so many bytes a second; sends nothing. */
    kSlowReader,
    /** Accepts one connection in so many milliseconds; the others wait in the queue. */
    kSlowAccept,
    /** Its queue is full: a SYN is dropped without an answer. */
    kBlackHole,
    /** Bound, not listening: a SYN is refused. */
    kRefuse,
  };
  Kind kind = Kind::kAnswer;
  uint64_t amount = 0;

  std::string name() const;
};

/** `reset-after:1000`; throws UsageError. */
Behaviour parse_behaviour(const std::string &text);

} // namespace shunt::load
