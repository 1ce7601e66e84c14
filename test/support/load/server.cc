#include "server.h"

#include "order.h"
#include "system_error.h"
#include "visitor.h"

#include <netinet/tcp.h>

namespace shunt::load {

namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerTurn = 64;

} // namespace

Json Sight::json() const {
  return Json()
      .put("accepted", accepted)
      .put("open", open)
      .put("bytesIn", bytes_in)
      .put("bytesOut", bytes_out)
      .put("closed", closed)
      .put("reset", reset)
      .put("endedByServer", ended_by_us)
      .put("silent", silent)
      .put("streams", streams)
      .put("wrongStreams", wrong_streams)
      .put("firstProblem", first_problem);
}

Listener::Listener(Loop &loop, const std::string &spec) : loop_(loop) {
  const size_t equals = spec.find('=');
  address_text_ = spec.substr(0, equals);
  address_ = parse_address(address_text_);
  behaviour_ = parse_behaviour(equals == std::string::npos ? "answer" : spec.substr(equals + 1));
  start();
}

Listener::~Listener() = default;

void Listener::start() {
  using enum Behaviour::Kind;
  if (behaviour_.kind == kRefuse) {
    fd_ = tcp_socket(address_.family());
    check("bind", ::bind(fd_.get(), address_.get(), address_.size));
    return;
  }
  const bool full = behaviour_.kind == kBlackHole;
  fd_ = listen_on(address_, full ? 0 : kBacklog);
  if (full) {
    // The kernel queues one more than it was told.
    for (int i = 0; i < 2; i++) {
      fillers_.push_back(tcp_socket(address_.family()));
      ::connect(fillers_.back().get(), address_.get(), address_.size);
    }
  } else if (behaviour_.kind == kSlowAccept) {
    loop_.after_ms(behaviour_.amount, [this] { accept_some(1); });
  } else {
    loop_.add(fd_.get(), EPOLLIN, this);
  }
}

void Listener::ready(uint32_t) { accept_some(kAcceptsPerTurn); }

void Listener::accept_some(int at_most) {
  for (int i = 0; i < at_most; i++) {
    Fd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd)
      break;
    meet(std::move(fd));
  }
  if (behaviour_.kind == Behaviour::Kind::kSlowAccept)
    loop_.after_ms(behaviour_.amount, [this] { accept_some(1); });
}

void Listener::meet(Fd fd) {
  sight.accepted++;
  sight.open++;
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto visitor = std::make_unique<Visitor>(loop_, *this, behaviour_, std::move(fd));
  Visitor *key = visitor.get();
  guests_.emplace(key, std::move(visitor));
  key->start();
}

void Listener::forget(Visitor &visitor) {
  sight.open--;
  const auto found = guests_.find(&visitor);
  loop_.bury(std::move(found->second));
  guests_.erase(found);
}

void Listener::relay_order(Visitor &, Fd fd, const Order &order) {
  sight.open++;
  const StreamPlan plan{down_seed(order.nonce), up_seed(order.nonce), order.down_bytes,
                        order.up_bytes,         order.pace,           order.answers != 0,
                        order.io_size};
  const auto done = [this](Stream &stream, const std::string &problem) {
    sight.open--;
    sight.bytes_in += stream.received();
    sight.bytes_out += stream.sent();
    (problem.empty() ? sight.streams : sight.wrong_streams)++;
    if (!problem.empty() && sight.first_problem.empty())
      sight.first_problem = problem;
    const auto found = guests_.find(&stream);
    loop_.bury(std::move(found->second));
    guests_.erase(found);
  };
  auto stream = std::make_unique<Stream>(loop_, std::move(fd), false, "", plan, done);
  Source *key = stream.get();
  guests_.emplace(key, std::move(stream));
}

Json Listener::json() const {
  return Json()
      .put("address", address_text_)
      .put("behaviour", behaviour_.name())
      .put("saw", sight.json());
}

int serve(Arguments &arguments) {
  Loop loop;
  std::vector<std::unique_ptr<Listener>> listeners;
  for (const std::string &spec : arguments.all("on"))
    listeners.push_back(std::make_unique<Listener>(loop, spec));
  arguments.finish();
  if (listeners.empty())
    throw UsageError("serve needs --on ADDRESS:PORT=BEHAVIOUR");
  const auto report = [&](const char *event) {
    std::vector<Json> list;
    for (const auto &listener : listeners)
      list.push_back(listener->json());
    Json().put("event", event).put("listeners", list).print();
  };
  loop.on_report([&] { report("report"); });
  Json().put("event", "ready").print();
  loop.run();
  report("result");
  return 0;
}

} // namespace shunt::load
