// What happens when something runs out, or the engine itself fails.

#include "relay_fixture.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>

using namespace shunt;
using namespace shunt::test;

namespace {

size_t open_descriptors() {
  DIR *folder = ::opendir("/proc/self/fd");
  size_t count = 0;
  while (::readdir(folder))
    count++;
  ::closedir(folder);
  return count;
}

/** In a process of its own, whose limits may be spoilt. */
void in_a_child(void (*body)()) {
  const pid_t child = ::fork();
  if (child == 0) {
    test::failures = 0;
    ::close_range(3, ~0U, 0); // what was inherited must not lie between what is counted
    body();
    std::fflush(stderr);
    ::_exit(test::failures);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void allow_descriptors(size_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = count;
  EXPECT(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

size_t next_descriptor() {
  const Fd probe(::dup(0));
  return static_cast<size_t>(probe.get());
}

/** Both ends by one thread: starting another is more than the sanitizers can do here. */
void push_through(const Fd &from, const Fd &to, size_t size) {
  const std::string chunk(64 << 10, 'b');
  std::vector<char> read(64 << 10);
  size_t sent = 0;
  size_t got = 0;
  for (const auto until = Clock::now() + kPatience; got < size && Clock::now() < until;) {
    const size_t wanted = std::min(chunk.size(), size - sent);
    const ssize_t more = ::send(from.get(), chunk.data(), wanted, MSG_DONTWAIT | MSG_NOSIGNAL);
    sent += static_cast<size_t>(std::max<ssize_t>(0, more));
    got += static_cast<size_t>(
        std::max<ssize_t>(0, ::recv(to.get(), read.data(), read.size(), MSG_DONTWAIT)));
  }
  EXPECT(got == size);
}

/** Descriptors run out for accept, then for socket, then for pipes; each time life goes on. */
void without_descriptors() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  script.listen(frontend);
  script.settle();
  const size_t used = next_descriptor();

  // One more for the client; none for accept.
  allow_descriptors(used + 1);
  const Fd waiting = client_of(frontend);
  const Event failed = script.must(EventKind::kAcceptFailed);
  EXPECT(failed.error == EMFILE && failed.fd == frontend.get());
  const uint32_t turns = script.word(Word::kTurns);
  std::this_thread::sleep_for(200ms);
  EXPECT(script.word(Word::kTurns) - turns < 60); // backs off
  EXPECT(script.counter(&Counters::descriptor_shortages) >= 1);

  // One for accept, none for the endpoint.
  allow_descriptors(used + 2);
  const uint32_t id = script.must(EventKind::kAccepted).connection;
  script.give(connect_command(id, {&backend}));
  EXPECT(script.must(EventKind::kAttemptFailed).error == EMFILE);
  EXPECT(script.must(EventKind::kExhausted).connection == id);

  // Two for the endpoint's connection, none for a pipe.
  allow_descriptors(used + 4);
  script.give(connect_command(id, {&backend}));
  const Fd endpoint = accept_on(backend);
  constexpr size_t kBulk = 4 << 20;
  push_through(waiting, endpoint, kBulk);
  script.settle();
  EXPECT(script.counter(&Counters::pipe_shortages) >= 1);
  EXPECT(script.counter(&Counters::spliced_bytes) == 0);
  EXPECT(script.counter(&Counters::copied_bytes) == kBulk);

  allow_descriptors(used + 10);
  std::this_thread::sleep_for(std::chrono::milliseconds(PipePool::kPauseMs));
  push_through(waiting, endpoint, kBulk);
  script.settle();
  EXPECT(script.counter(&Counters::spliced_bytes) > 0);
}

void without_slots() {
  const Fd frontend = listener();
  Script script({64, 64, 2});
  script.listen(frontend);
  const Fd first = client_of(frontend);
  const Fd second = client_of(frontend);
  const uint32_t id = script.must(EventKind::kAccepted).connection;
  script.must(EventKind::kAccepted);
  const Fd third = client_of(frontend);
  EXPECT(end_of(third) == ECONNRESET);
  const Event full = script.must(EventKind::kAcceptFailed);
  EXPECT(full.error == ENOSPC && full.index == 1);
  Adoption adoption;
  adoption.id = 1U << 30;
  adoption.client = client_of(frontend);
  adoption.endpoint = client_of(frontend);
  script.relay().adopt(std::move(adoption));
  const Event not_adopted = script.must(EventKind::kEnded);
  EXPECT(not_adopted.connection == 1U << 30 && not_adopted.ended.outcome == Outcome::kAborted);
  // A slot that becomes free is used again.
  script.give(CommandKind::kRefuse, id);
  EXPECT(end_of(first) == ECONNRESET);
  const Fd fourth = client_of(frontend);
  EXPECT(script.must(EventKind::kAccepted).connection != id);
}

void javascript_does_not_keep_up() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script({8, 8, 1024});
  script.listen(frontend);
  std::vector<Fd> clients;
  for (int i = 0; i < 300; i++)
    clients.push_back(client_of(frontend));
  // Nobody reads events: what was accepted in the first turns is kept, the rest waits outside.
  std::this_thread::sleep_for(200ms);
  EXPECT(script.counter(&Counters::connections) <= 8 + 64 * 2);
  int ended = 0;
  for (int i = 0; i < 300; i++) {
    script.give(CommandKind::kRefuse, script.must(EventKind::kAccepted).connection);
    while (script.next(EventKind::kEnded, 0ms))
      ended++;
    if (i % 4 == 3)
      script.settle(); // the ring of commands is short as well
  }
  for (; ended < 300; ended++)
    script.must(EventKind::kEnded);
  for (const Fd &client : clients)
    EXPECT(end_of(client) == ECONNRESET);
}

void nobody_is_left_behind_at_the_end() {
  const size_t before = open_descriptors();
  {
    const Fd frontend = listener();
    const Fd backend = listener();
    const BlackHole hole;
    Script script;
    script.listen(frontend);
    const Fd undecided = client_of(frontend);
    script.must(EventKind::kAccepted);
    const Fd connecting = client_of(frontend);
    script.give(connect_command(script.must(EventKind::kAccepted).connection, {&hole.listener}));
    const Flow idle = flow(script, frontend, backend);
    const Flow full = flow(script, frontend, backend, {}, 4096);
    const timeval no_patience{0, 100'000};
    ::setsockopt(full.endpoint.get(), SOL_SOCKET, SO_SNDTIMEO, &no_patience, sizeof no_patience);
    const std::string text(64 << 10, 'f');
    while (::send(full.endpoint.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0)
      ;
    script.close();
    for (const Fd *each : {&undecided, &connecting, &idle.client, &idle.endpoint, &full.endpoint})
      EXPECT(end_of(*each) == ECONNRESET);
  }
  EXPECT(open_descriptors() == before);
}

/** Commands that come just when the engine goes to sleep: it would wake for them 100 ms later. */
void no_command_is_overlooked() {
  const Fd frontend = listener();
  Script script;
  int late = 0;
  for (int i = 0; i < 3000; i++) {
    const auto begun = Clock::now();
    script.listen_no_more(frontend);
    while (!script.next(EventKind::kListenerRemoved, 0ms) && Clock::now() - begun < kPatience)
      ;
    late += Clock::now() - begun > 50ms;
  }
  // A machine that has other things to do may be late a few times, too.
  EXPECT(late < 5);
}

void a_stalled_engine_shows_it() {
  Script script;
  script.settle();
  const uint32_t alive = script.word(Word::kTurns);
  std::this_thread::sleep_for(500ms);
  EXPECT(script.word(Word::kTurns) != alive);
  Command stall{};
  stall.kind = CommandKind::kStall;
  stall.attempt_timeout_ms = 600;
  script.give(stall);
  std::this_thread::sleep_for(100ms);
  const uint32_t stalled = script.word(Word::kTurns);
  std::this_thread::sleep_for(300ms);
  EXPECT(script.word(Word::kTurns) == stalled);
  EXPECT(script.word(Word::kDied) == 0);
  script.settle();
}

void a_dead_engine_shows_it() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  script.listen(frontend);
  const Flow relayed = flow(script, frontend, backend);
  Command die{};
  die.kind = CommandKind::kDie;
  script.give(die);
  const auto until = Clock::now() + kPatience;
  while (script.word(Word::kDied) == 0 && Clock::now() < until)
    std::this_thread::sleep_for(1ms);
  EXPECT(script.word(Word::kDied) == 1);
  script.close();
  EXPECT(end_of(relayed.client) == ECONNRESET && end_of(relayed.endpoint) == ECONNRESET);
}

void commands_of_any_kind_do_no_harm() {
  const Fd frontend = listener();
  Script script;
  script.listen(frontend);
  const Fd client = client_of(frontend);
  const uint32_t id = script.must(EventKind::kAccepted).connection;
  for (uint32_t kind = 0; kind < 30; kind++) {
    if (kind == static_cast<uint32_t>(CommandKind::kStall) ||
        kind == static_cast<uint32_t>(CommandKind::kDie))
      continue;
    Command command{};
    command.kind = static_cast<CommandKind>(kind);
    command.connection = id + 1 + kind;
    command.candidate_count = command.prefix_length = 255;
    command.fd = command.other_fd = -1;
    script.give(command);
  }
  // To the connection itself: more candidates than there are, none of them reachable.
  Command command = connect_command(id, {});
  command.candidate_count = command.prefix_length = 255;
  script.give(command);
  EXPECT(script.must(EventKind::kExhausted).connection == id);
  script.give(CommandKind::kRefuse, id);
  EXPECT(end_of(client) == ECONNRESET);
}

} // namespace

int main() {
  in_a_child(without_descriptors);
  without_slots();
  javascript_does_not_keep_up();
  nobody_is_left_behind_at_the_end();
  no_command_is_overlooked();
  a_stalled_engine_shows_it();
  a_dead_engine_shows_it();
  commands_of_any_kind_do_no_harm();
  return test::failures;
}
