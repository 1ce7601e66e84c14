// One accepted connection that is no stream: reads its order and obeys, or misbehaves as its
// listener does.
#pragma once

#include "order.h"
#include "server.h"

namespace shunt::load {

class Visitor : public Source {
public:
  Visitor(Loop &loop, Listener &listener, Behaviour behaviour, Fd fd);
  ~Visitor() override;
  /** It may be over when this returns. */
  void start();
  void ready(uint32_t events) override;

private:
  enum class End { kClosed, kReset, kByUs, kMoved };

  void receive();
  void read_order();
  void obey();
  void echo_some();
  void read_at_rate();
  void send_and_reset();
  bool flush();
  void want(uint32_t events);
  void end(End how);
  void failed();

  Loop &loop_;
  Listener &listener_;
  Behaviour behaviour_;
  Fd fd_;
  Order order_{};
  size_t order_size_ = 0;
  uint64_t received_ = 0;
  uint32_t interest_ = EPOLLIN;
  std::string unsent_;
  bool peer_closed_ = false, close_when_sent_ = false;
  Loop::Timer timer_;
};

} // namespace shunt::load
