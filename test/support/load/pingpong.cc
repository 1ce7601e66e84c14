// `load pingpong`: connections that stay, each with one message under way: as fast as answers come,
// or at a fixed rate over all, when the time of a message counts from when it was due.

#include "client.h"

#include <sys/prctl.h>

#include <algorithm>
#include <cstring>
#include <deque>

namespace shunt::load {

namespace {

struct Settings {
  uint64_t connections, size;
  double seconds, warm_up_seconds, rate;
};

class PingPong;

class Player : public Source {
public:
  Player(PingPong &run, uint64_t number)
      : run_(run), order_(make_order(OrderKind::kEcho, number)) {}
  void start();
  void ready(uint32_t events) override;
  /** Sends now, or after the answers that are still to come. */
  void due(uint64_t time_ns);

private:
  void send();
  void receive();
  void fail(const std::string &what);

  PingPong &run_;
  Order order_;
  std::string message_;
  Fd fd_;
  bool connected_ = false, waiting_ = false;
  size_t got_ = 0;
  uint64_t due_ns_ = 0;
  std::deque<uint64_t> queue_;
};

class PingPong {
public:
  PingPong(const Settings &settings, Targets targets)
      : settings(settings), targets(std::move(targets)) {}
  int run();
  void connected();
  void answered(Player &player, uint64_t due_ns);
  void failed(const std::string &what);

  const Settings settings;
  Loop loop;
  Targets targets;

private:
  void tick();

  std::vector<std::unique_ptr<Player>> players_;
  Latencies times_;
  uint64_t connected_ = 0, sent_ = 0, answered_ = 0, begin_ns_ = 0, measure_ns_ = 0, end_ns_ = 0;
  std::string problem_;
};

void Player::start() {
  int error = 0;
  fd_ = run_.targets.connect(error);
  if (error != 0)
    return fail("connect " + errno_name(error));
  message_.assign(reinterpret_cast<const char *>(&order_), sizeof order_);
  message_.resize(std::max<size_t>(run_.settings.size, sizeof order_), 'p');
  run_.loop.add(fd_.get(), EPOLLOUT, this);
}

void Player::ready(uint32_t) {
  if (connected_)
    return receive();
  if (const int error = socket_error(fd_.get()); error != 0)
    return fail("connect " + errno_name(error));
  connected_ = true;
  run_.loop.change(fd_.get(), EPOLLIN, this);
  run_.connected();
}

void Player::due(uint64_t time_ns) {
  if (waiting_)
    return queue_.push_back(time_ns);
  due_ns_ = time_ns;
  send();
}

void Player::send() {
  waiting_ = true;
  got_ = 0;
  if (::send(fd_.get(), message_.data(), message_.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(message_.size()))
    fail("send " + errno_name(errno));
}

void Player::receive() {
  char buffer[64 * 1024];
  const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (count < 0 && errno == EAGAIN)
    return;
  if (count <= 0)
    return fail("answer " + (count == 0 ? std::string("EOF") : errno_name(errno)));
  const size_t size = static_cast<size_t>(count);
  if (!waiting_ || got_ + size > message_.size() ||
      std::memcmp(buffer, message_.data() + got_, size) != 0)
    return fail("answer WRONG_BYTES");
  got_ += size;
  if (got_ < message_.size())
    return;
  waiting_ = false;
  run_.answered(*this, due_ns_);
  if (!queue_.empty()) {
    const uint64_t next = queue_.front();
    queue_.pop_front();
    due(next);
  }
}

void Player::fail(const std::string &what) { run_.failed(what); }

void PingPong::connected() {
  if (++connected_ < settings.connections)
    return;
  begin_ns_ = now_ns();
  measure_ns_ = begin_ns_ + static_cast<uint64_t>(settings.warm_up_seconds * 1e9);
  end_ns_ = measure_ns_ + static_cast<uint64_t>(settings.seconds * 1e9);
  loop.at(measure_ns_, [this] {
    answered_ = 0;
    Json().put("event", "started").print();
  });
  loop.at(end_ns_, [this] { loop.stop(); });
  if (settings.rate > 0)
    return tick();
  for (const auto &player : players_)
    player->due(now_ns());
}

void PingPong::tick() {
  const auto due = [&] {
    return begin_ns_ + static_cast<uint64_t>(static_cast<double>(sent_) * 1e9 / settings.rate);
  };
  for (; due() <= now_ns(); sent_++)
    players_[sent_ % players_.size()]->due(due());
  loop.at(due(), [this] { tick(); });
}

void PingPong::answered(Player &player, uint64_t due_ns) {
  const uint64_t now = now_ns();
  answered_++;
  if (due_ns >= measure_ns_ && measure_ns_ > 0)
    times_.add(now - due_ns);
  if (settings.rate == 0)
    player.due(now);
}

void PingPong::failed(const std::string &what) {
  problem_ = what;
  loop.stop();
}

int PingPong::run() {
  // Else a timer is late by 50 us.
  ::prctl(PR_SET_TIMERSLACK, 1);
  for (uint64_t i = 0; i < settings.connections && problem_.empty(); i++) {
    players_.push_back(std::make_unique<Player>(*this, i + 1));
    players_.back()->start();
  }
  if (problem_.empty())
    loop.run();
  const double seconds = static_cast<double>(now_ns() - measure_ns_) / 1e9;
  Json()
      .put("event", "result")
      .put("problem", problem_)
      .put("seconds", seconds)
      .put("roundTrips", answered_)
      .put("perSecond", static_cast<double>(answered_) / seconds)
      .put("latencyUs", times_.json())
      .print();
  return problem_.empty() ? 0 : 1;
}

} // namespace

int run_pingpong(Arguments &arguments) {
  Settings settings{};
  settings.connections = arguments.number("connections", 1);
  settings.size = arguments.number("bytes", 64);
  settings.seconds = arguments.real("seconds", 3);
  settings.warm_up_seconds = arguments.real("warm-up", 0.3);
  settings.rate = arguments.real("rate", 0);
  Targets targets(arguments);
  arguments.finish();
  return std::make_unique<PingPong>(settings, std::move(targets))->run();
}

} // namespace shunt::load
