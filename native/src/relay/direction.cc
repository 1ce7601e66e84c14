#include "direction.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <new>

namespace shunt::relay {

namespace {

/** A full read of this size says that there is more than splicing costs. */
constexpr size_t kReadSize = 16 << 10;
/** Smaller ones, so many in a row, say that there is not. */
constexpr size_t kSmallRead = 8 << 10;
constexpr uint8_t kSmallReads = 4;
/** One direction must not keep the others waiting for longer than moving this takes. */
constexpr size_t kTurnSize = 1 << 20;

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

} // namespace

Progress Direction::pump(Mover &mover, int source, int sink) {
  size_t moved = 0;
  while (!shut) {
    Step step = Step::kGo;
    if (rest)
      step = write_rest(sink);
    else if (in_pipe > 0)
      step = empty_pipe(mover, sink);
    else if (over)
      break;
    else if (!readable || !writable)
      step = Step::kWait;
    else if (moved >= kTurnSize)
      return Progress::kMore;
    else if (splices && take_pipe(mover))
      step = fill_pipe(mover, source, sink, moved);
    else
      step = copy(mover, source, sink, moved);

    switch (step) {
    case Step::kGo:
      continue;
    case Step::kWait:
      if (in_pipe == 0)
        return_pipe(mover);
      return Progress::kWait;
    case Step::kSourceLost:
      return Progress::kSourceLost;
    case Step::kSinkLost:
      return Progress::kSinkLost;
    case Step::kNoMemory:
      return Progress::kNoMemory;
    }
  }
  return_pipe(mover);
  return shut ? Progress::kWait : Progress::kFinished;
}

Direction::Step Direction::copy(Mover &mover, int source, int sink, size_t &moved) {
  // Without a pipe for a flow that wants one, larger reads are the next best thing.
  const size_t wanted = lacks_pipe ? Mover::kBufferSize : kReadSize;
  const ssize_t got = ::recv(source, mover.buffer, wanted, MSG_DONTWAIT);
  if (got < 0) {
    if (!would_block(errno))
      return errno == EINTR ? Step::kGo : Step::kSourceLost;
    readable = false;
    return Step::kGo;
  }
  if (got == 0) {
    over = true;
    return Step::kGo;
  }
  const auto size = static_cast<size_t>(got);
  if (size < wanted && !drain)
    readable = false;
  judge(size);
  moved += size;
  mover.counters.copied_bytes += static_cast<double>(size);

  ssize_t sent = ::send(sink, mover.buffer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (!would_block(errno))
      return Step::kSinkLost;
    sent = 0;
  }
  bytes += static_cast<size_t>(sent);
  if (static_cast<size_t>(sent) == size)
    return Step::kGo;
  writable = false;
  return keep(mover.buffer + sent, size - static_cast<size_t>(sent)) ? Step::kGo : Step::kNoMemory;
}

void Direction::judge(size_t read) {
  if (read >= kReadSize)
    splices = true;
  if (read >= kSmallRead) {
    small_reads = 0;
  } else if (splices && ++small_reads >= kSmallReads) {
    splices = lacks_pipe = false;
    small_reads = 0;
  }
}

bool Direction::keep(const uint8_t *data, size_t size) {
  std::unique_ptr<uint8_t[]> copy(new (std::nothrow) uint8_t[size]);
  std::unique_ptr<Rest> kept(new (std::nothrow) Rest);
  if (!copy || !kept)
    return false;
  std::memcpy(copy.get(), data, size);
  kept->bytes = std::move(copy);
  kept->at = 0;
  kept->size = size;
  rest = std::move(kept);
  return true;
}

Direction::Step Direction::write_rest(int sink) {
  if (!writable)
    return Step::kWait;
  const size_t left = rest->size - rest->at;
  const ssize_t sent =
      ::send(sink, rest->bytes.get() + rest->at, left, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (!would_block(errno))
      return Step::kSinkLost;
    writable = false;
    return Step::kWait;
  }
  bytes += static_cast<size_t>(sent);
  rest->at += static_cast<size_t>(sent);
  if (rest->at == rest->size)
    rest.reset();
  return Step::kGo;
}

Direction::Step Direction::fill_pipe(Mover &mover, int source, int sink, size_t &moved) {
  // No SPLICE_F_MORE on the way out: if the source falls silent after it, the last segment would
  // wait for 200 ms.
  const ssize_t got = ::splice(source, nullptr, pipe->write_end.get(), nullptr, pipe->capacity,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (got < 0 && !would_block(errno))
    return errno == EINTR ? Step::kGo : Step::kSourceLost;
  // Splice does not get past an urgent byte: it says that there is nothing, or after FIN that the
  // end is reached. Reading gets past it, and knows.
  if (got == 0 || (got < 0 && drain))
    return copy(mover, source, sink, moved);
  if (got < 0) {
    // EAGAIN says "nothing to read" or "no room in the pipe"; here the pipe is empty.
    readable = false;
    return Step::kGo;
  }
  const auto size = static_cast<size_t>(got);
  in_pipe = static_cast<uint32_t>(size);
  moved += size;
  judge(size);
  return Step::kGo;
}

Direction::Step Direction::empty_pipe(Mover &mover, int sink) {
  if (!writable)
    return Step::kWait;
  const ssize_t sent = ::splice(pipe->read_end.get(), nullptr, sink, nullptr, in_pipe,
                                SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (sent <= 0) {
    if (sent == 0 || !would_block(errno))
      return sent < 0 && errno == EINTR ? Step::kGo : Step::kSinkLost;
    writable = false;
    return Step::kWait;
  }
  in_pipe -= static_cast<uint32_t>(sent);
  bytes += static_cast<size_t>(sent);
  mover.counters.spliced_bytes += static_cast<double>(sent);
  return Step::kGo;
}

bool Direction::take_pipe(Mover &mover) {
  if (pipe)
    return true;
  pipe = mover.pool.take(mover.now_ms);
  if (!pipe && !lacks_pipe)
    mover.counters.pipe_shortages++;
  lacks_pipe = !pipe;
  return !lacks_pipe;
}

void Direction::return_pipe(Mover &mover) { mover.pool.give(std::move(pipe), in_pipe == 0); }

void Direction::drop(Mover &mover) {
  return_pipe(mover);
  in_pipe = 0;
  rest.reset();
}

} // namespace shunt::relay
