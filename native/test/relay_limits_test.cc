// Limits of time on connections that are relayed.

#include "relay_fixture.h"

using namespace shunt;
using namespace shunt::test;

namespace {

struct Row {
  const char *what;
  Command limits;
  void (*act)(const Flow &flow);
  Outcome outcome;
  std::chrono::milliseconds at_least, at_most;
};

Command limits(uint32_t idle, uint32_t half_closed, uint32_t silent, uint32_t lifetime) {
  Command command{};
  command.idle_ms = idle;
  command.half_closed_ms = half_closed;
  command.silent_ms = silent;
  command.lifetime_ms = lifetime;
  return command;
}

void say_nothing(const Flow &) {}
void say_one_thing(const Flow &flow) { write_all(flow.client, "a"); }
void hear_one_thing(const Flow &flow) { write_all(flow.endpoint, "a"); }
void close_one_side(const Flow &flow) { ::shutdown(flow.endpoint.get(), SHUT_WR); }
/** Until it ends, if it does. */
void talk_for_a_while(const Flow &flow) {
  char byte = 'a';
  for (int i = 0; i < 20; i++) {
    if (::send(flow.client.get(), &byte, 1, MSG_NOSIGNAL) != 1 ||
        ::recv(flow.endpoint.get(), &byte, 1, 0) != 1)
      return;
    std::this_thread::sleep_for(20ms);
  }
}

/** A close in order of the other side alone would not be a hang-up. */
bool is_reset(const Fd &fd) {
  pollfd waiting{fd.get(), 0, 0};
  return ::poll(&waiting, 1, 20'000) == 1 && (waiting.revents & POLLHUP);
}

const Row kRows[] = {
    {"nobody says anything, and silence has a limit", limits(5'000, 5'000, 120, 0), say_nothing,
     Outcome::kSilent, 120ms, 2s},
    {"silence has a limit, but something was said, and then it is idle", limits(200, 0, 100, 0),
     say_one_thing, Outcome::kIdle, 200ms, 2s},
    {"an answer breaks the silence, too", limits(200, 0, 100, 0), hear_one_thing, Outcome::kIdle,
     200ms, 2s},
    {"one side closes, and then nothing comes", limits(5'000, 150, 0, 0), close_one_side,
     Outcome::kIdleHalfClosed, 150ms, 2s},
    {"half-closed may be longer than idle", limits(100, 300, 0, 0), close_one_side,
     Outcome::kIdleHalfClosed, 300ms, 2s},
    {"who talks is not idle", limits(150, 0, 0, 0), talk_for_a_while, Outcome::kIdle, 400ms, 3s},
    {"a lifetime ends however busy the connection is", limits(5'000, 0, 0, 250), talk_for_a_while,
     Outcome::kLifetime, 250ms, 2s},
};

void each_limit_ends_with_its_own_name() {
  for (const Row &row : kRows) {
    const Fd frontend = listener();
    const Fd backend = listener();
    Script script;
    script.listen(frontend);
    const auto begun = Clock::now();
    const Flow connection = flow(script, frontend, backend, row.limits);
    std::optional<Event> ended;
    std::thread actor([&] { row.act(connection); });
    ended = script.next(EventKind::kEnded);
    const auto took = Clock::now() - begun;
    actor.join();
    const bool holds =
        ended && ended->ended.outcome == row.outcome && took >= row.at_least && took <= row.at_most;
    if (!holds)
      std::fprintf(stderr, "%s: ended as %u after %lld ms\n", row.what,
                   ended ? static_cast<unsigned>(ended->ended.outcome) : 0,
                   static_cast<long long>(took / 1ms));
    EXPECT(holds);
    EXPECT(is_reset(connection.client) && is_reset(connection.endpoint));
  }
}

void zero_is_no_limit() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  script.listen(frontend);
  const Flow connection = flow(script, frontend, backend);
  EXPECT(!script.next(EventKind::kEnded, 300ms));
  write_all(connection.client, "still there");
  EXPECT(read_some(connection.endpoint, 11) == "still there");
}

} // namespace

int main() {
  each_limit_ends_with_its_own_name();
  zero_is_no_limit();
  return test::failures;
}
