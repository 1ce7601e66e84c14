// `load conns`: short connections: connect, send 64 bytes, read them back, close. Either so many at
// a time, or so many a second (then the time of a connection counts from when it was due).

#include "client.h"

#include <cstring>
#include <set>

namespace shunt::load {

namespace {

struct Settings {
  uint64_t concurrency, count, exchanges, timeout_ms;
  double seconds, rate;
  OrderKind kind;
  bool reset;
};

class Conns;

class Conn : public Source {
public:
  Conn(Conns &run, uint64_t number, uint64_t due_ns);
  ~Conn() override;
  void start();
  void ready(uint32_t events) override;

private:
  enum class Phase { kConnect, kAnswer, kEnd };

  void send_order();
  void receive();
  void answered();
  void fail(const char *phase, const std::string &code);
  const char *phase_name() const;

  Conns &run_;
  Order order_;
  uint64_t due_ns_, started_ms_, exchanges_ = 0;
  Fd fd_;
  Phase phase_ = Phase::kConnect;
  size_t got_ = 0;
  Loop::Timer timer_;
};

class Conns {
public:
  Conns(const Settings &settings, Targets targets, size_t list_at_most)
      : settings(settings), targets(std::move(targets)), failures(list_at_most) {}

  int run();
  void over(Conn &conn);

  const Settings settings;
  Loop loop;
  Targets targets;
  Latencies connect_times, times;
  Failures failures;
  uint64_t answered = 0;

private:
  bool may_start() const;
  void fill();
  void start_one(uint64_t due_ns);
  void start_due();
  Json result() const;

  std::map<Conn *, std::unique_ptr<Conn>> open_;
  uint64_t started_ = 0, begin_ns_ = 0, begin_ms_ = 0, behind_ = 0;
  bool ending_ = false;
};

Conn::Conn(Conns &run, uint64_t number, uint64_t due_ns)
    : run_(run), order_(make_order(run.settings.kind, number)), due_ns_(due_ns),
      started_ms_(wall_ms()) {}

Conn::~Conn() { run_.loop.cancel(timer_); }

void Conn::start() {
  int error = 0;
  fd_ = run_.targets.connect(error);
  if (error != 0)
    return fail("connect", errno_name(error));
  run_.loop.add(fd_.get(), EPOLLOUT, this);
  timer_ = run_.loop.after_ms(run_.settings.timeout_ms, [this] { fail(phase_name(), "TIMEOUT"); });
}

void Conn::ready(uint32_t) {
  if (!fd_)
    return;
  if (phase_ != Phase::kConnect)
    return receive();
  if (const int error = socket_error(fd_.get()); error != 0)
    return fail("connect", errno_name(error));
  run_.connect_times.add(now_ns() - due_ns_);
  run_.loop.change(fd_.get(), EPOLLIN, this);
  send_order();
}

void Conn::send_order() {
  phase_ = Phase::kAnswer;
  got_ = 0;
  if (::send(fd_.get(), &order_, sizeof order_, MSG_NOSIGNAL) !=
      static_cast<ssize_t>(sizeof order_))
    fail("send", errno_name(errno));
}

void Conn::receive() {
  uint8_t buffer[sizeof order_ + 1];
  const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (count < 0) {
    if (errno != EAGAIN)
      fail(phase_name(), errno_name(errno));
    return;
  }
  if (count == 0) {
    if (phase_ != Phase::kEnd)
      return fail(phase_name(), "EOF");
    fd_.reset();
    return run_.over(*this);
  }
  const size_t size = static_cast<size_t>(count);
  if (phase_ == Phase::kEnd || got_ + size > sizeof order_ ||
      std::memcmp(buffer, reinterpret_cast<const uint8_t *>(&order_) + got_, size) != 0)
    return fail("answer", "WRONG_BYTES");
  got_ += size;
  if (got_ == sizeof order_)
    answered();
}

void Conn::answered() {
  if (++exchanges_ < run_.settings.exchanges)
    return send_order();
  run_.times.add(now_ns() - due_ns_);
  run_.answered++;
  if (run_.settings.kind == OrderKind::kEchoAndClose) {
    phase_ = Phase::kEnd;
    return;
  }
  if (run_.settings.reset)
    close_with_reset(fd_);
  fd_.reset();
  run_.over(*this);
}

const char *Conn::phase_name() const {
  return phase_ == Phase::kConnect ? "connect" : phase_ == Phase::kAnswer ? "answer" : "end";
}

void Conn::fail(const char *phase, const std::string &code) {
  run_.failures.add(phase, code, started_ms_);
  fd_.reset();
  run_.over(*this);
}

bool Conns::may_start() const {
  if (ending_ || (settings.count > 0 && started_ >= settings.count))
    return false;
  return settings.seconds == 0 ||
         static_cast<double>(now_ns() - begin_ns_) < settings.seconds * 1e9;
}

void Conns::start_one(uint64_t due_ns) {
  auto conn = std::make_unique<Conn>(*this, started_++, due_ns);
  Conn *key = conn.get();
  open_.emplace(key, std::move(conn));
  key->start();
}

void Conns::over(Conn &conn) {
  const auto found = open_.find(&conn);
  loop.bury(std::move(found->second));
  open_.erase(found);
  // From the loop, not from within a connection: one that fails at once would start the next for
  // ever deeper.
  if (settings.rate == 0)
    loop.at(0, [this] { fill(); });
  else if (open_.empty() && !may_start())
    loop.stop();
}

void Conns::fill() {
  while (open_.size() < settings.concurrency && may_start())
    start_one(now_ns());
  if (open_.empty() && !may_start())
    loop.stop();
}

void Conns::start_due() {
  const double step_ns = 1e9 / settings.rate;
  const auto due = [&] {
    return begin_ns_ + static_cast<uint64_t>(static_cast<double>(started_) * step_ns);
  };
  while (may_start() && due() <= now_ns()) {
    if (open_.size() >= settings.concurrency) {
      behind_++;
      break;
    }
    start_one(due());
  }
  if (may_start())
    loop.at(std::max(due(), now_ns() + 100'000), [this] { start_due(); });
  else if (open_.empty())
    loop.stop();
}

int Conns::run() {
  loop.on_end([this] {
    ending_ = true;
    if (open_.empty())
      loop.stop();
  });
  loop.on_report([this] { result().put("event", "report").print(); });
  Json().put("event", "started").print();
  begin_ns_ = now_ns();
  begin_ms_ = wall_ms();
  if (settings.rate > 0)
    start_due();
  else
    loop.at(0, [this] { fill(); });
  loop.run();
  result().put("event", "result").print();
  return 0;
}

Json Conns::result() const {
  const double seconds = static_cast<double>(now_ns() - begin_ns_) / 1e9;
  Json json;
  json.put("startedMs", begin_ms_)
      .put("seconds", seconds)
      .put("started", started_)
      .put("answered", answered)
      .put("open", open_.size())
      .put("perSecond", static_cast<double>(answered) / seconds)
      .put("behind", behind_)
      .put("connectUs", connect_times.json())
      .put("exchangeUs", times.json());
  failures.put_into(json);
  return json;
}

} // namespace

int run_conns(Arguments &arguments) {
  Settings settings{};
  settings.rate = arguments.real("rate", 0);
  settings.concurrency = arguments.number("concurrency", settings.rate > 0 ? 5000 : 16);
  settings.count = arguments.number("count", 0);
  settings.seconds = arguments.real("seconds", 0);
  settings.exchanges = arguments.number("exchanges", 1);
  settings.timeout_ms = arguments.number("timeout-ms", 5000);
  settings.reset = arguments.text("close", "client") == "reset";
  settings.kind =
      arguments.text("close", "client") == "server" ? OrderKind::kEchoAndClose : OrderKind::kEcho;
  Targets targets(arguments);
  const size_t list_at_most = arguments.number("list-failures", 1000);
  arguments.finish();
  // On the heap: a run holds its latencies and must not depend on the size of a stack.
  return std::make_unique<Conns>(settings, std::move(targets), list_at_most)->run();
}

} // namespace shunt::load
