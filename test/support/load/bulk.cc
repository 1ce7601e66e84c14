// `load bulk`: streams of patterns up, down, or both ways at once, every byte compared at both
// ends. Several rounds of streams may follow one another.

#include "client.h"
#include "stream.h"

namespace shunt::load {

namespace {

struct Settings {
  uint64_t streams, rounds, up, down, timeout_ms, nonce;
  Pace client, server;
  bool answers;
  uint32_t io_size;
};

class Bulk {
public:
  Bulk(const Settings &settings, Targets targets)
      : settings_(settings), targets_(std::move(targets)) {}

  int run() {
    loop_.on_end([this] {
      rounds_left_ = 0;
      loop_.stop();
    });
    loop_.on_report([this] { result().put("event", "report").print(); });
    if (settings_.timeout_ms > 0)
      loop_.after_ms(settings_.timeout_ms, [this] {
        note("TIMEOUT");
        loop_.stop();
      });
    begin_ns_ = now_ns();
    Json().put("event", "started").print();
    rounds_left_ = settings_.rounds * settings_.streams;
    for (uint64_t i = 0; i < settings_.streams; i++)
      start();
    loop_.run();
    result().put("event", "result").print();
    return problem_.empty() ? 0 : 1;
  }

private:
  void start() {
    if (rounds_left_ == 0)
      return;
    rounds_left_--;
    int error = 0;
    Fd fd = targets_.connect(error);
    if (error != 0)
      return note("connect " + errno_name(error));
    Order order = make_order(OrderKind::kStream, settings_.nonce + started_++);
    order.up_bytes = settings_.up;
    order.down_bytes = settings_.down;
    order.pace = settings_.server;
    order.answers = settings_.answers;
    order.io_size = settings_.io_size;
    const StreamPlan plan{up_seed(order.nonce), down_seed(order.nonce), settings_.up,
                          settings_.down,       settings_.client,       false,
                          settings_.io_size};
    auto stream = std::make_unique<Stream>(
        loop_, std::move(fd), true, std::string(reinterpret_cast<char *>(&order), sizeof order),
        plan, [this](Stream &one, const std::string &problem) { over(one, problem); });
    Stream *key = stream.get();
    open_.emplace(key, std::move(stream));
  }

  void over(Stream &stream, const std::string &problem) {
    sent_ += stream.sent();
    received_ += stream.received();
    if (problem.empty())
      complete_++;
    else
      note(problem);
    const auto found = open_.find(&stream);
    loop_.bury(std::move(found->second));
    open_.erase(found);
    start();
    if (open_.empty())
      loop_.stop();
  }

  void note(const std::string &problem) {
    wrong_++;
    if (problem_.empty())
      problem_ = problem;
  }

  Json result() const {
    const double seconds = static_cast<double>(now_ns() - begin_ns_) / 1e9;
    uint64_t sent = sent_, received = received_;
    for (const auto &[stream, owned] : open_) {
      sent += stream->sent();
      received += stream->received();
    }
    return Json()
        .put("seconds", seconds)
        .put("complete", complete_)
        .put("open", open_.size())
        .put("wrong", wrong_)
        .put("problem", problem_)
        .put("bytesUp", sent)
        .put("bytesDown", received)
        .put("gbPerSecond", static_cast<double>(sent + received) / 1e9 / seconds);
  }

  const Settings settings_;
  Loop loop_;
  Targets targets_;
  std::map<Stream *, std::unique_ptr<Stream>> open_;
  uint64_t started_ = 0, rounds_left_ = 0, complete_ = 0, wrong_ = 0, sent_ = 0, received_ = 0;
  uint64_t begin_ns_ = 0;
  std::string problem_;
};

} // namespace

int run_bulk(Arguments &arguments) {
  Settings settings{};
  settings.streams = arguments.number("streams", 1);
  settings.rounds = arguments.number("rounds", 1);
  settings.up = arguments.number("up", 0);
  settings.down = arguments.number("down", 0);
  settings.timeout_ms = arguments.number("timeout-ms", 0);
  settings.nonce = arguments.number("nonce", 1);
  Pace pace{};
  pace.chunk_max = static_cast<uint32_t>(arguments.number("chunk-max", 0));
  pace.pause_permille = static_cast<uint16_t>(arguments.number("pause-permille", 0));
  pace.pause_max_ms = static_cast<uint16_t>(arguments.number("pause-max-ms", 0));
  settings.client = settings.server = pace;
  settings.client.read_rate = arguments.number("read-rate", 0);
  settings.server.read_rate = arguments.number("server-read-rate", 0);
  settings.io_size = static_cast<uint32_t>(arguments.number("io-size", 0));
  settings.answers = arguments.text("server-sends", "at-once") == "after";
  Targets targets(arguments);
  arguments.finish();
  return std::make_unique<Bulk>(settings, std::move(targets))->run();
}

} // namespace shunt::load
