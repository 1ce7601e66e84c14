// One direction of a relayed connection: bytes that are read from one socket and written to the
// other, by copying while there are few and through a pipe in the kernel while there are many.
//
//   copying ──a full read──▶ splicing ──several small reads──▶ copying
//
// Nothing is read before all that was read earlier is written, so a slow reader makes its sender
// wait (back-pressure) and at most one read or one pipe is held for it.
#pragma once

#include "pipe_pool.h"
#include "shared_memory.h"

#include <cstddef>

namespace shunt::relay {

/** What all directions of an engine use, one after the other. */
struct Mover {
  static constexpr size_t kBufferSize = 64 << 10;

  PipePool &pool;
  Counters &counters;
  uint8_t *buffer; // of kBufferSize
  uint64_t now_ms = 0;
};

enum class Progress : uint8_t {
  kWait,       // for one of the sockets
  kMore,       // had its share of this turn
  kFinished,   // the source's end was reached and everything before it is written
  kSourceLost, // reset, or as good as
  kSinkLost,
  kNoMemory,
};

struct Direction {
  /** What a short send left over. */
  struct Rest {
    std::unique_ptr<uint8_t[]> bytes;
    size_t at, size;
  };

  /** Written to the sink. */
  uint64_t bytes = 0;
  std::unique_ptr<Rest> rest;
  std::unique_ptr<Pipe> pipe;
  uint32_t in_pipe = 0;
  // The sockets are watched for edges, so what an edge said is remembered until EAGAIN.
  bool readable : 1 = false;
  bool writable : 1 = true;
  /** A short read does not prove that the source is empty: its end, or an urgent byte, came. */
  bool drain : 1 = false;
  bool over : 1 = false; // the source's end was read
  bool shut : 1 = false; // and the sink knows
  bool splices : 1 = false;
  bool lacks_pipe : 1 = false;
  uint8_t small_reads = 0;

  /** Moves what can be moved, up to the share of one turn. */
  Progress pump(Mover &mover, int source, int sink);
  /** Keeps a copy, to be written before anything else; false without memory. */
  bool keep(const uint8_t *data, size_t size);
  /** Read, and not written yet. */
  bool holds() const { return rest || in_pipe > 0; }
  /** Gives back what it holds. */
  void drop(Mover &mover);

private:
  enum class Step : uint8_t { kGo, kWait, kSourceLost, kSinkLost, kNoMemory };

  Step copy(Mover &mover, int source, int sink, size_t &moved);
  Step fill_pipe(Mover &mover, int source, int sink, size_t &moved);
  Step write_rest(int sink);
  Step empty_pipe(Mover &mover, int sink);
  /** Copy or splice from now on? */
  void judge(size_t read);
  bool take_pipe(Mover &mover);
  void return_pipe(Mover &mover);
};

} // namespace shunt::relay
