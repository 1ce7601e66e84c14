#include "visitor.h"

#include <algorithm>

namespace shunt::load {

namespace {

constexpr size_t kBuffer = 64 * 1024;

} // namespace

Visitor::Visitor(Loop &loop, Listener &listener, Behaviour behaviour, Fd fd)
    : loop_(loop), listener_(listener), behaviour_(behaviour), fd_(std::move(fd)) {}

Visitor::~Visitor() { loop_.cancel(timer_); }

void Visitor::start() {
  using enum Behaviour::Kind;
  switch (behaviour_.kind) {
  case kReset:
    close_with_reset(fd_);
    return end(End::kByUs);
  case kClose:
    fd_.reset();
    return end(End::kByUs);
  case kHalfClose:
    ::shutdown(fd_.get(), SHUT_WR);
    break;
  case kDeaf:
    return;
  case kSlowReader:
    return read_at_rate();
  case kSendAndReset:
    return send_and_reset();
  default:
    break;
  }
  loop_.add(fd_.get(), EPOLLIN, this);
}

void Visitor::ready(uint32_t events) {
  if (!fd_)
    return;
  if ((events & EPOLLOUT) != 0 && !flush())
    return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
    return;
  using enum Behaviour::Kind;
  if (behaviour_.kind == kHalfClose || behaviour_.kind == kResetAfter)
    receive();
  else if (order_size_ < sizeof order_)
    read_order();
  else if (order_.kind != OrderKind::kSilence || (events & (EPOLLHUP | EPOLLERR)) != 0)
    echo_some();
}

void Visitor::receive() {
  uint8_t buffer[kBuffer];
  const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (count < 0)
    return failed();
  received_ += static_cast<uint64_t>(count);
  listener_.sight.bytes_in += static_cast<uint64_t>(count);
  if (behaviour_.kind == Behaviour::Kind::kResetAfter && received_ >= behaviour_.amount) {
    close_with_reset(fd_);
    end(End::kByUs);
  } else if (count == 0) {
    end(End::kClosed);
  }
}

void Visitor::read_order() {
  const ssize_t count = ::recv(fd_.get(), reinterpret_cast<uint8_t *>(&order_) + order_size_,
                               sizeof order_ - order_size_, 0);
  if (count < 0)
    return failed();
  if (count == 0) {
    if (order_size_ == 0)
      listener_.sight.silent++;
    return end(End::kClosed);
  }
  order_size_ += static_cast<size_t>(count);
  listener_.sight.bytes_in += static_cast<uint64_t>(count);
  if (order_size_ == sizeof order_)
    obey();
}

void Visitor::obey() {
  if (!is_order(order_)) {
    listener_.sight.wrong_streams++;
    listener_.sight.first_problem = "the first 64 bytes are no order";
    close_with_reset(fd_);
    return end(End::kByUs);
  }
  switch (order_.kind) {
  case OrderKind::kEchoAndClose:
    close_when_sent_ = true;
    [[fallthrough]];
  case OrderKind::kEcho:
    unsent_.assign(reinterpret_cast<const char *>(&order_), sizeof order_);
    flush();
    return;
  case OrderKind::kStream:
    loop_.remove(fd_.get());
    listener_.relay_order(*this, std::move(fd_), order_);
    return end(End::kMoved);
  case OrderKind::kSilence:
    return want(0);
  }
}

void Visitor::echo_some() {
  char buffer[kBuffer];
  const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (count < 0)
    return failed();
  if (count == 0) {
    peer_closed_ = true;
    if (unsent_.empty())
      end(End::kClosed);
    return;
  }
  const size_t size = static_cast<size_t>(count);
  listener_.sight.bytes_in += size;
  const ssize_t sent = ::send(fd_.get(), buffer, size, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN)
    return failed();
  const size_t done = sent < 0 ? 0 : static_cast<size_t>(sent);
  listener_.sight.bytes_out += done;
  if (done < size) {
    unsent_.assign(buffer + done, size - done);
    want(EPOLLOUT);
  }
}

/** False: it waits or it is over. */
bool Visitor::flush() {
  const ssize_t count = ::send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
  if (count < 0 && errno != EAGAIN) {
    failed();
    return false;
  }
  if (count > 0) {
    listener_.sight.bytes_out += static_cast<uint64_t>(count);
    unsent_.erase(0, static_cast<size_t>(count));
  }
  if (!unsent_.empty()) {
    want(EPOLLOUT);
    return false;
  }
  if (close_when_sent_ || peer_closed_) {
    end(close_when_sent_ ? End::kByUs : End::kClosed);
    return false;
  }
  want(EPOLLIN);
  return true;
}

void Visitor::read_at_rate() {
  constexpr uint64_t kStepMs = 50;
  std::string buffer(std::max<uint64_t>(1, behaviour_.amount * kStepMs / 1000), '\0');
  const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (count == 0)
    return end(End::kClosed);
  if (count < 0 && errno != EAGAIN)
    return failed();
  if (count > 0)
    listener_.sight.bytes_in += static_cast<uint64_t>(count);
  timer_ = loop_.after_ms(kStepMs, [this] { read_at_rate(); });
}

void Visitor::send_and_reset() {
  const std::string bytes(behaviour_.amount, 'x');
  const ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (count > 0)
    listener_.sight.bytes_out += static_cast<uint64_t>(count);
  // A reset overtakes nothing that the peer has not read yet, but it may discard it: give it a
  // moment.
  timer_ = loop_.after_ms(50, [this] {
    close_with_reset(fd_);
    end(End::kByUs);
  });
}

void Visitor::want(uint32_t events) {
  if (events != interest_)
    loop_.change(fd_.get(), interest_ = events, this);
}

void Visitor::failed() {
  if (errno != EAGAIN)
    end(errno == ECONNRESET || errno == EPIPE ? End::kReset : End::kClosed);
}

void Visitor::end(End how) {
  fd_.reset();
  Sight &sight = listener_.sight;
  if (how != End::kMoved)
    (how == End::kClosed ? sight.closed : how == End::kReset ? sight.reset : sight.ended_by_us)++;
  listener_.forget(*this);
}

} // namespace shunt::load
