// From accept to an endpoint: destinations, candidates, deadlines, verdicts, peeks, hand-over.

#include "relay_fixture.h"

using namespace shunt;
using namespace shunt::test;

namespace {

void tells_client_and_relays() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  script.listen(frontend);
  const Fd client = client_of(frontend);
  const Event accepted = script.must(EventKind::kAccepted);
  EXPECT(accepted.accepted.client_port == port_of(client));
  EXPECT(std::memcmp(accepted.accepted.client, kMappedPrefix, 12) == 0);
  EXPECT(std::memcmp(accepted.accepted.client + 12, kLoopback, 4) == 0);
  // Not steered: its address is the listener's own, and conntrack knows of nothing else.
  EXPECT((accepted.flags & kDestinationKnown) == 0);
  script.give(connect_command(accepted.connection, {&backend}));
  const Fd endpoint = accept_on(backend);
  const Event connected = script.must(EventKind::kConnected);
  EXPECT(connected.connection == accepted.connection && connected.index == 0);
  EXPECT(connected.duration_us > 0 && connected.duration_us < 5e6);

  write_all(client, "hello");
  EXPECT(read_some(endpoint, 5) == "hello");
  write_all(endpoint, "welcome");
  EXPECT(read_some(client, 7) == "welcome");
  script.settle();
  EXPECT(script.bytes(accepted.connection & 0x7ffff) == std::pair(5.0, 7.0));
  EXPECT(script.counter(&Counters::connections) == 1);

  ::shutdown(client.get(), SHUT_WR);
  EXPECT(end_of(endpoint) == 0);
  write_all(endpoint, "after the end of the other");
  EXPECT(read_some(client, 26) == "after the end of the other");
  ::shutdown(endpoint.get(), SHUT_WR);
  EXPECT(end_of(client) == 0);
  const Event ended = script.must(EventKind::kEnded);
  EXPECT(ended.ended.outcome == Outcome::kClosed);
  EXPECT(ended.ended.from_client == 5 && ended.ended.from_endpoint == 33);
  EXPECT(ended.flags == (kHasClientLeg | kHasEndpointLeg));
  EXPECT(ended.ended.client.rtt_us > 0 && ended.ended.endpoint.rtt_us > 0);
  EXPECT(ended.duration_us > 0);
  script.settle();
  EXPECT(script.counter(&Counters::connections) == 0);
}

void relays_ipv6() {
  const uint8_t loopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const auto listener = [&] {
    return listen_tcp({Endpoint::of(loopback, 16, 0), 16, false, false, true});
  };
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  script.listen(frontend);
  const Fd client(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Endpoint to = Endpoint::of(loopback, 16, port_of(frontend));
  EXPECT(::connect(client.get(), to.address(), to.size) == 0);
  block(client);
  const Event accepted = script.must(EventKind::kAccepted);
  EXPECT(std::memcmp(accepted.accepted.client, loopback, 16) == 0);
  EXPECT(accepted.accepted.client_port == port_of(client));
  Command command = connect_command(accepted.connection, {});
  command.candidate_count = 1;
  std::memcpy(command.candidates[0].address, loopback, 16);
  command.candidates[0].port = port_of(backend);
  script.give(command);
  const Fd endpoint = accept_on(backend);
  write_all(endpoint, "over IPv6");
  EXPECT(read_some(client, 9) == "over IPv6");
}

void tries_the_next_candidate() {
  const Fd frontend = listener();
  const Fd backend = listener();
  const Fd refuses = refusing();
  Script script;
  const BlackHole hole;
  script.listen(frontend);
  const Fd client = client_of(frontend);
  write_all(client, "early");
  const uint32_t id = script.must(EventKind::kAccepted).connection;
  script.give(connect_command(id, {&refuses, &hole.listener, &backend}));
  const Event refused = script.must(EventKind::kAttemptFailed);
  EXPECT(refused.index == 0 && refused.error == ECONNREFUSED);
  const Event late = script.must(EventKind::kAttemptFailed);
  EXPECT(late.index == 1 && late.error == ETIMEDOUT);
  EXPECT(late.duration_us >= 199'000 && late.duration_us < 5e6);
  EXPECT(script.must(EventKind::kConnected).index == 2);
  EXPECT(read_some(accept_on(backend), 5) == "early");
}

void waits_for_another_verdict() {
  const Fd frontend = listener();
  const Fd backend = listener();
  const Fd refuses = refusing();
  Script script;
  const BlackHole hole;
  script.listen(frontend);
  const Fd client = client_of(frontend);
  write_all(client, "patient");
  const uint32_t id = script.must(EventKind::kAccepted).connection;
  script.give(connect_command(id, {&refuses}));
  EXPECT(script.must(EventKind::kExhausted).connection == id);
  Command command = connect_command(id, {&hole.listener, &hole.listener});
  command.deadline_ms = 300; // within the second attempt
  const auto begun = Clock::now();
  script.give(command);
  EXPECT(script.must(EventKind::kExhausted).connection == id);
  const auto took = Clock::now() - begun;
  EXPECT(took >= 299ms && took < 5s);
  script.give(connect_command(id, {&backend}));
  EXPECT(read_some(accept_on(backend), 7) == "patient");
  EXPECT(script.must(EventKind::kConnected).connection == id);
  size_t failed = 0;
  while (script.next(EventKind::kAttemptFailed, 0ms))
    failed++;
  EXPECT(failed == 3);
}

void refuses_and_aborts() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  script.listen(frontend);
  const Fd refused = client_of(frontend);
  script.give(CommandKind::kRefuse, script.must(EventKind::kAccepted).connection);
  EXPECT(end_of(refused) == ECONNRESET);
  const Event first = script.must(EventKind::kEnded);
  EXPECT(first.ended.outcome == Outcome::kRefused && first.flags == kHasClientLeg);

  const Flow aborted = flow(script, frontend, backend);
  script.give(CommandKind::kAbort, aborted.id);
  script.give(CommandKind::kAbort, aborted.id);
  script.give(connect_command(aborted.id, {&backend}));
  EXPECT(end_of(aborted.client) == ECONNRESET && end_of(aborted.endpoint) == ECONNRESET);
  EXPECT(script.must(EventKind::kEnded).ended.outcome == Outcome::kAborted);
  script.settle();
  EXPECT(!script.has(EventKind::kEnded));
}

void client_goes_away() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  const BlackHole hole;
  script.listen(frontend);
  // Before the verdict: told with it.
  Fd early = client_of(frontend);
  const uint32_t first = script.must(EventKind::kAccepted).connection;
  reset(std::move(early));
  script.settle();
  EXPECT(!script.has(EventKind::kEnded));
  script.give(connect_command(first, {&backend}));
  const Event gone = script.must(EventKind::kEnded);
  EXPECT(gone.connection == first && gone.ended.outcome == Outcome::kClientGone);
  // While connecting: at once.
  Fd later = client_of(frontend);
  const uint32_t second = script.must(EventKind::kAccepted).connection;
  script.give(connect_command(second, {&hole.listener}));
  script.settle();
  reset(std::move(later));
  const Event ended = script.must(EventKind::kEnded);
  EXPECT(ended.connection == second && ended.ended.outcome == Outcome::kClientGone);
  EXPECT(ended.flags == kHasClientLeg);
  // A close in order is no reason to give up: what was sent is still to be delivered.
  Fd half = client_of(frontend);
  write_all(half, "last words");
  half.reset();
  script.give(connect_command(script.must(EventKind::kAccepted).connection, {&backend}));
  const Fd endpoint = accept_on(backend);
  EXPECT(read_some(endpoint, 11) == "last words");
}

Command peek(uint32_t id, uint32_t bytes, uint32_t timeout_ms) {
  Command command{};
  command.kind = CommandKind::kPeek;
  command.connection = id;
  command.skip_bytes = bytes;
  command.attempt_timeout_ms = timeout_ms;
  return command;
}

void peeks() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  script.listen(frontend);
  const Fd client = client_of(frontend);
  const Event accepted = script.must(EventKind::kAccepted);
  const uint32_t id = accepted.connection;
  script.give(peek(id, 4, 10'000));
  write_all(client, "PR");
  EXPECT(!script.next(EventKind::kReadable, 50ms));
  write_all(client, "OXY");
  const Event first = script.must(EventKind::kReadable);
  EXPECT(first.readable.waiting == 5 && first.flags == 0);
  char seen[16];
  EXPECT(::recv(first.fd, seen, sizeof seen, MSG_PEEK | MSG_DONTWAIT) == 5);
  // More, but not in time.
  script.give(peek(id, 8, 30));
  const Event second = script.must(EventKind::kReadable);
  EXPECT(second.readable.waiting == 5 && second.flags == kOver);
  // More than the client has to say.
  script.give(peek(id, 64, 10'000));
  write_all(client, " rest");
  ::shutdown(client.get(), SHUT_WR);
  const Event third = script.must(EventKind::kReadable);
  EXPECT(third.readable.waiting == 10 && third.flags == kOver);

  Command command = connect_command(id, {&backend});
  command.skip_bytes = 6;
  command.prefix_length = 3;
  std::memcpy(command.prefix, "P2:", 3);
  script.give(command);
  const Fd endpoint = accept_on(backend);
  EXPECT(read_some(endpoint, 64) == "P2:rest");
  ::shutdown(endpoint.get(), SHUT_WR);
  EXPECT(end_of(client) == 0);
  // Only payload counts.
  EXPECT(script.must(EventKind::kEnded).ended.from_client == 4);
}

void a_peek_in_vain_changes_nothing() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  script.listen(frontend);
  const Fd client = client_of(frontend);
  const uint32_t id = script.must(EventKind::kAccepted).connection;
  script.give(peek(id, 100, 150));
  script.settle();
  write_all(client, "GET");
  EXPECT(script.must(EventKind::kReadable).flags == kOver);
  script.give(connect_command(id, {&backend}));
  const Fd endpoint = accept_on(backend);
  EXPECT(read_some(endpoint, 3) == "GET");
  write_all(client, "!");
  EXPECT(read_some(endpoint, 1) == "!");
}

void a_skip_waits_for_the_endpoint() {
  const Fd frontend = listener();
  const Fd backend = listener();
  const Fd refuses = refusing();
  Script script;
  script.listen(frontend);
  const Fd client = client_of(frontend);
  write_all(client, "headpayload");
  const uint32_t id = script.must(EventKind::kAccepted).connection;
  for (const Fd *to : {&refuses, &backend}) {
    script.give(peek(id, 11, 10'000));
    EXPECT(script.must(EventKind::kReadable).readable.waiting == 11);
    Command command = connect_command(id, {to});
    command.skip_bytes = 4;
    script.give(command);
    if (to == &refuses)
      EXPECT(script.must(EventKind::kExhausted).connection == id);
  }
  EXPECT(read_some(accept_on(backend), 7) == "payload");
}

void hands_over() {
  const Fd frontend = listener();
  Script script;
  script.listen(frontend);
  Fd client = client_of(frontend);
  const uint32_t id = script.must(EventKind::kAccepted).connection;
  script.give(CommandKind::kHandOver, id);
  const Event handed = script.must(EventKind::kHandedOver);
  EXPECT(handed.connection == id);
  const Fd socket(handed.fd);
  block(socket);
  write_all(client, "to you");
  EXPECT(read_some(socket, 6) == "to you");
  script.settle();
  EXPECT(script.counter(&Counters::connections) == 0);
  EXPECT(!script.has(EventKind::kEnded));
}

void adopts() {
  const Fd frontend = listener();
  const Fd backend = listener();
  Script script;
  Fd client = client_of(frontend);
  Fd endpoint = client_of(backend);
  Adoption adoption;
  adoption.id = 1U << 30 | 7;
  adoption.client = accept_on(frontend);
  adoption.endpoint = std::move(endpoint);
  const Fd served = accept_on(backend);
  const std::string long_text(300'000, 'x');
  adoption.to_endpoint.assign(long_text.begin(), long_text.end());
  adoption.to_client = {'h', 'i'};
  script.relay().adopt(std::move(adoption));
  const Event connected = script.must(EventKind::kConnected);
  EXPECT(connected.connection == (1U << 30 | 7));
  EXPECT(read_some(client, 2) == "hi");
  EXPECT(read_some(served, long_text.size()) == long_text);
  write_all(client, "more");
  EXPECT(read_some(served, 4) == "more");
  script.settle();
  EXPECT(script.bytes(connected.index) == std::pair(300'004.0, 2.0));
  client.reset();
  ::shutdown(served.get(), SHUT_WR);
  const Event ended = script.must(EventKind::kEnded);
  EXPECT(ended.connection == (1U << 30 | 7) && ended.ended.outcome == Outcome::kClosed);
}

void removed_listeners_accept_no_more() {
  const Fd frontend = listener();
  Script script;
  script.listen(frontend);
  const Fd before = client_of(frontend);
  script.must(EventKind::kAccepted);
  script.listen_no_more(frontend);
  EXPECT(script.must(EventKind::kListenerRemoved).fd == frontend.get());
  const Fd after = client_of(frontend);
  EXPECT(!script.next(EventKind::kAccepted, 100ms));
  EXPECT(static_cast<bool>(accept_on(frontend)));
  // Something that does not listen is told, and does not stay.
  const Fd no_listener(::eventfd(0, EFD_CLOEXEC));
  script.listen(no_listener);
  const Event failed = script.must(EventKind::kAcceptFailed);
  EXPECT(failed.fd == no_listener.get() && failed.error == ENOTSOCK);
}

void one_listener_for_two_relays() {
  const Fd frontend = listener();
  Script first, second;
  first.listen(frontend);
  second.listen(frontend);
  std::vector<Fd> clients;
  for (int i = 0; i < 200; i++)
    clients.push_back(client_of(frontend));
  int count = 0;
  for (const auto until = Clock::now() + kPatience; count < 200 && Clock::now() < until;)
    for (Script *script : {&first, &second})
      while (script->next(EventKind::kAccepted, 1ms))
        count++;
  EXPECT(count == 200);
}

} // namespace

int main() {
  tells_client_and_relays();
  relays_ipv6();
  tries_the_next_candidate();
  waits_for_another_verdict();
  refuses_and_aborts();
  client_goes_away();
  peeks();
  a_peek_in_vain_changes_nothing();
  a_skip_waits_for_the_endpoint();
  hands_over();
  adopts();
  removed_listeners_accept_no_more();
  one_listener_for_two_relays();
  return test::failures;
}
