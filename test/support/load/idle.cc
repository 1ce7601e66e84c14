// `load idle`: opens connections, has one exchange on each, so that both legs are there, holds them
// in silence until it is told to end, and then says how many were still whole: each must echo once
// more.

#include "client.h"

#include <cstring>

namespace shunt::load {

namespace {

class Idle;

class Held : public Source {
public:
  Held(Idle &run, uint64_t number) : run_(run), order_(make_order(OrderKind::kEcho, number)) {}
  void start();
  void ready(uint32_t events) override;
  /** False: it was lost before. */
  bool ask();

private:
  void receive();
  void fail(const char *phase, const std::string &code);

  Idle &run_;
  Order order_;
  Fd fd_;
  bool connected_ = false, waiting_ = true;
  size_t got_ = 0;
  uint64_t started_ms_ = wall_ms();
};

class Idle {
public:
  Idle(Targets targets, uint64_t count, uint64_t concurrency)
      : targets(std::move(targets)), count_(count), concurrency_(concurrency) {}
  int run();
  void answered();
  void lost(bool was_waiting);

  Loop loop;
  Targets targets;
  Failures failures{100};

private:
  void open_some();
  void settle();

  std::vector<std::unique_ptr<Held>> held_;
  uint64_t count_, concurrency_, under_way_ = 0, whole_ = 0, asked_ = 0, still_whole_ = 0;
  bool asking_ = false, ready_ = false;
};

void Held::start() {
  int error = 0;
  fd_ = run_.targets.connect(error);
  if (error != 0)
    return fail("connect", errno_name(error));
  run_.loop.add(fd_.get(), EPOLLOUT, this);
}

void Held::ready(uint32_t) {
  if (!fd_)
    return;
  if (connected_)
    return receive();
  if (const int error = socket_error(fd_.get()); error != 0)
    return fail("connect", errno_name(error));
  connected_ = true;
  run_.loop.change(fd_.get(), EPOLLIN, this);
  ask();
}

bool Held::ask() {
  if (!fd_)
    return false;
  waiting_ = true;
  got_ = 0;
  if (::send(fd_.get(), &order_, sizeof order_, MSG_NOSIGNAL) < 0)
    fail("send", errno_name(errno));
  return true;
}

void Held::receive() {
  uint8_t buffer[sizeof order_];
  const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (count < 0 && errno == EAGAIN)
    return;
  if (count <= 0)
    return fail("answer", count == 0 ? "EOF" : errno_name(errno));
  const size_t size = static_cast<size_t>(count);
  if (got_ + size > sizeof order_ ||
      std::memcmp(buffer, reinterpret_cast<const uint8_t *>(&order_) + got_, size) != 0)
    return fail("answer", "WRONG_BYTES");
  got_ += size;
  if (got_ < sizeof order_)
    return;
  waiting_ = false;
  run_.answered();
}

void Held::fail(const char *phase, const std::string &code) {
  run_.failures.add(phase, code, started_ms_);
  fd_.reset();
  run_.lost(waiting_);
}

void Idle::open_some() {
  while (held_.size() < count_ && under_way_ < concurrency_) {
    held_.push_back(std::make_unique<Held>(*this, held_.size() + 1));
    under_way_++;
    held_.back()->start();
  }
}

void Idle::answered() {
  under_way_--;
  (asking_ ? still_whole_ : whole_)++;
  settle();
}

void Idle::lost(bool was_waiting) {
  if (was_waiting)
    under_way_--;
  loop.at(0, [this] { settle(); });
}

void Idle::settle() {
  if (asking_) {
    for (; asked_ < held_.size() && under_way_ < concurrency_; asked_++) {
      under_way_++;
      if (!held_[asked_]->ask())
        under_way_--;
    }
    if (asked_ == held_.size() && under_way_ == 0)
      loop.stop();
    return;
  }
  open_some();
  if (held_.size() < count_ || under_way_ > 0 || ready_)
    return;
  ready_ = true;
  Json().put("event", "ready").put("whole", whole_).put("failed", failures.count()).print();
}

int Idle::run() {
  loop.on_end([this] {
    if (asking_)
      return loop.stop();
    asking_ = true;
    // A peer that is gone without a word answers nothing.
    loop.after_ms(5000, [this] { loop.stop(); });
    settle();
  });
  loop.at(0, [this] { open_some(); });
  loop.run();
  Json json;
  json.put("event", "result").put("whole", whole_).put("stillWhole", still_whole_);
  failures.put_into(json);
  json.print();
  return 0;
}

} // namespace

int run_idle(Arguments &arguments) {
  const uint64_t count = arguments.number("count", 100);
  const uint64_t concurrency = arguments.number("concurrency", 64);
  Targets targets(arguments);
  arguments.finish();
  return std::make_unique<Idle>(std::move(targets), count, concurrency)->run();
}

} // namespace shunt::load
