#include "stream.h"

#include <algorithm>
#include <cstring>

namespace shunt::load {

namespace {

/** So much of one stream before the others have their turn. */
constexpr size_t kTurn = 1024 * 1024;

} // namespace

Stream::Stream(Loop &loop, Fd fd, bool connecting, std::string first, const StreamPlan &plan,
               Done done)
    : loop_(loop), fd_(std::move(fd)), first_(std::move(first)), plan_(plan),
      done_(std::move(done)), send_pattern_(plan.send_seed), receive_pattern_(plan.receive_seed),
      random_(plan.send_seed), connected_(!connecting),
      interest_(EPOLLIN | (plan.answers ? 0u : uint32_t{EPOLLOUT})), started_ns_(now_ns()) {
  loop_.add(fd_.get(), interest_, this);
}

Stream::~Stream() {
  loop_.cancel(sending_.timer);
  loop_.cancel(receiving_.timer);
}

void Stream::ready(uint32_t events) {
  if (!fd_)
    return;
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0)
      return end_with_errno("connect", error);
    connected_ = true;
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !receiving_.resting)
    receive_some();
  if (fd_ && (events & EPOLLOUT) != 0 && !sending_.resting && send_first())
    send_some();
  if (fd_)
    update();
}

bool Stream::send_first() {
  while (!first_.empty()) {
    const ssize_t count = ::send(fd_.get(), first_.data(), first_.size(), MSG_NOSIGNAL);
    if (count < 0) {
      if (errno != EAGAIN)
        end_with_errno("send", errno);
      return false;
    }
    first_.erase(0, static_cast<size_t>(count));
  }
  return true;
}

void Stream::send_some() {
  for (size_t turn = 0; turn < kTurn && sent_ < plan_.send_bytes && !sending_.resting;) {
    const size_t wanted = chunk(plan_.send_bytes - sent_);
    const ssize_t count = ::send(fd_.get(), send_pattern_.at(sent_), wanted, MSG_NOSIGNAL);
    if (count < 0) {
      if (errno != EAGAIN)
        end_with_errno("send", errno);
      return;
    }
    sent_ += static_cast<uint64_t>(count);
    turn += static_cast<size_t>(count);
    rest_perhaps(sending_);
  }
  if (sent_ == plan_.send_bytes && !sending_.over) {
    sending_.over = true;
    ::shutdown(fd_.get(), SHUT_WR);
    if (receiving_.over)
      end("");
  }
}

void Stream::receive_some() {
  static uint8_t buffer[Pattern::kMaxRun];
  for (size_t turn = 0; turn < kTurn && !receiving_.over && !receiving_.resting;) {
    const size_t wanted = chunk(Pattern::kMaxRun);
    const ssize_t count = ::recv(fd_.get(), buffer, wanted, 0);
    if (count < 0) {
      if (errno != EAGAIN)
        end_with_errno("receive", errno);
      return;
    }
    if (count == 0) {
      if (received_ != plan_.receive_bytes)
        return end("ended after " + std::to_string(received_) + " of " +
                   std::to_string(plan_.receive_bytes) + " bytes");
      receiving_.over = true;
      if (sending_.over)
        end("");
      else if (plan_.answers)
        send_some();
      return;
    }
    const size_t size = static_cast<size_t>(count);
    if (received_ + size > plan_.receive_bytes)
      return end("more than " + std::to_string(plan_.receive_bytes) + " bytes came");
    if (std::memcmp(buffer, receive_pattern_.at(received_), size) != 0)
      return end("a wrong byte between " + std::to_string(received_) + " and " +
                 std::to_string(received_ + size));
    received_ += size;
    turn += size;
    rest_perhaps(receiving_);
    if (plan_.pace.read_rate > 0 && !receiving_.resting) {
      const uint64_t due = started_ns_ + received_ * kSecond / plan_.pace.read_rate;
      const uint64_t now = now_ns();
      if (due > now)
        rest_for(receiving_, due - now);
    }
  }
}

size_t Stream::chunk(uint64_t left) {
  uint64_t size = std::min<uint64_t>(left, Pattern::kMaxRun);
  if (plan_.pace.read_rate > 0)
    size = std::min<uint64_t>(size, std::max<uint64_t>(1, plan_.pace.read_rate / 20));
  if (plan_.io_size > 0)
    size = std::min<uint64_t>(size, plan_.io_size);
  if (plan_.pace.chunk_max > 0)
    size = std::min<uint64_t>(size, 1 + random_.below(plan_.pace.chunk_max));
  return static_cast<size_t>(size);
}

void Stream::rest_perhaps(Direction &direction) {
  if (plan_.pace.pause_permille > 0 && random_.below(1000) < plan_.pace.pause_permille)
    rest_for(direction, random_.below(plan_.pace.pause_max_ms * kMs + 1));
}

void Stream::rest_for(Direction &direction, uint64_t delay_ns) {
  direction.resting = true;
  direction.timer = loop_.at(now_ns() + delay_ns, [this, &direction] {
    direction.resting = false;
    if (fd_)
      update();
  });
}

void Stream::update() {
  const uint32_t wanted = (receiving_.over || receiving_.resting ? 0u : uint32_t{EPOLLIN}) |
                          (sending_.over || sending_.resting || (plan_.answers && !receiving_.over)
                               ? 0u
                               : uint32_t{EPOLLOUT});
  if (wanted == interest_)
    return;
  // With nothing wanted it must leave the epoll: a reset would be told over and over.
  if (wanted == 0)
    loop_.remove(fd_.get());
  else if (interest_ == 0)
    loop_.add(fd_.get(), wanted, this);
  else
    loop_.change(fd_.get(), wanted, this);
  interest_ = wanted;
}

void Stream::abort(const std::string &problem) {
  if (!fd_)
    return;
  close_with_reset(fd_);
  end(problem);
}

void Stream::end_with_errno(const char *what, int code) {
  end(std::string(what) + " " + errno_name(code) + " after " + std::to_string(sent_) + " out, " +
      std::to_string(received_) + " in");
}

void Stream::end(const std::string &problem) {
  // What is wrong must end at the other side too, not look like the end of its data.
  if (fd_ && !problem.empty())
    close_with_reset(fd_);
  fd_.reset();
  done_(*this, problem);
}

} // namespace shunt::load
