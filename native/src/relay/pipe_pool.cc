#include "pipe_pool.h"

#include <fcntl.h>

#include <new>

namespace shunt::relay {

std::unique_ptr<Pipe> PipePool::take(uint64_t now_ms) {
  if (in_use_ >= most_)
    return nullptr;
  std::unique_ptr<Pipe> pipe;
  if (!pooled_.empty()) {
    pipe = std::move(pooled_.back());
    pooled_.pop_back();
  } else if (now_ms >= not_before_ms_) {
    pipe = make();
    if (!pipe)
      not_before_ms_ = now_ms + kPauseMs;
  }
  if (pipe)
    in_use_++;
  return pipe;
}

void PipePool::give(std::unique_ptr<Pipe> pipe, bool reusable) {
  if (!pipe)
    return;
  in_use_--;
  if (reusable && pooled_.size() < keep_)
    pooled_.push_back(std::move(pipe));
}

std::unique_ptr<Pipe> PipePool::make() {
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
    return nullptr;
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  int capacity = ::fcntl(ends[1], F_SETPIPE_SZ, kPipeSize);
  if (capacity < 0)
    capacity = ::fcntl(ends[1], F_GETPIPE_SZ);
  if (capacity < kLeastSize)
    return nullptr;
  auto *pipe = new (std::nothrow)
      Pipe{std::move(read_end), std::move(write_end), static_cast<uint32_t>(capacity)};
  return std::unique_ptr<Pipe>(pipe);
}

} // namespace shunt::relay
