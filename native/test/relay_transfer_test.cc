// Bytes, closes and resets between the two legs, by copying and by splicing.

#include "relay_fixture.h"

#include <sys/ioctl.h>

#include <random>

using namespace shunt;
using namespace shunt::test;

namespace {

struct Sum {
  uint64_t size = 0;
  uint64_t hash = 14'695'981'039'346'656'037ULL;

  void add(const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++)
      hash = (hash ^ data[i]) * 1'099'511'628'211ULL;
    size += length;
  }
  bool operator==(const Sum &) const = default;
};

struct Traffic {
  uint64_t total;
  size_t largest_chunk;
  /** One write in so many is followed by a short rest. */
  unsigned pause_every;
};

Sum write_random(const Fd &fd, unsigned seed, Traffic traffic) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> chunk(traffic.largest_chunk);
  Sum sum;
  while (sum.size < traffic.total) {
    const uint64_t wanted = 1 + random() % traffic.largest_chunk;
    const auto length = static_cast<size_t>(std::min(wanted, traffic.total - sum.size));
    for (size_t i = 0; i < length; i += 8) {
      const uint64_t word = random();
      std::memcpy(&chunk[i], &word, std::min<size_t>(8, length - i));
    }
    write_all(fd, std::string(chunk.begin(), chunk.begin() + static_cast<ptrdiff_t>(length)));
    sum.add(chunk.data(), length);
    if (traffic.pause_every > 0 && random() % traffic.pause_every == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
  }
  ::shutdown(fd.get(), SHUT_WR);
  return sum;
}

Sum read_to_the_end(const Fd &fd, unsigned seed, unsigned pause_every) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> chunk(256 << 10);
  Sum sum;
  for (;;) {
    const ssize_t got = ::recv(fd.get(), chunk.data(), 1 + random() % chunk.size(), 0);
    EXPECT(got >= 0);
    if (got <= 0)
      return sum;
    sum.add(chunk.data(), static_cast<size_t>(got));
    if (pause_every > 0 && random() % pause_every == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
  }
}

struct Both {
  Sum up_sent, up_read, down_sent, down_read;
};

Both transfer(const Flow &flow, unsigned seed, Traffic up, Traffic down) {
  Both both;
  std::thread threads[] = {
      std::thread([&] { both.up_sent = write_random(flow.client, seed, up); }),
      std::thread([&] { both.down_sent = write_random(flow.endpoint, seed + 1, down); }),
      std::thread([&] { both.up_read = read_to_the_end(flow.endpoint, seed, up.pause_every); }),
      std::thread([&] { both.down_read = read_to_the_end(flow.client, seed, down.pause_every); }),
  };
  for (std::thread &thread : threads)
    thread.join();
  return both;
}

struct Frontend {
  Fd frontend = listener();
  Fd backend = listener();
  Script script; // closed first: listeners have to outlive the relay

  explicit Frontend(Sizes sizes = {}) : script(sizes) { script.listen(frontend); }
  Flow flow(Command limits = {}, int client_buffer = 0) {
    return test::flow(script, frontend, backend, limits, client_buffer);
  }
};

void everything_arrives(const char *what, Traffic up, Traffic down) {
  Frontend setup;
  for (unsigned seed = 1; seed <= 3; seed++) {
    const Flow flow = setup.flow();
    const Both both = transfer(flow, seed, up, down);
    const bool equal = both.up_sent == both.up_read && both.down_sent == both.down_read;
    if (!equal)
      std::fprintf(stderr, "%s: %llu of %llu up, %llu of %llu down\n", what,
                   static_cast<unsigned long long>(both.up_read.size),
                   static_cast<unsigned long long>(both.up_sent.size),
                   static_cast<unsigned long long>(both.down_read.size),
                   static_cast<unsigned long long>(both.down_sent.size));
    EXPECT(equal);
    const Event ended = setup.script.must(EventKind::kEnded);
    EXPECT(ended.connection == flow.id && ended.ended.outcome == Outcome::kClosed);
    EXPECT(ended.ended.from_client == static_cast<double>(both.up_sent.size));
    EXPECT(ended.ended.from_endpoint == static_cast<double>(both.down_sent.size));
  }
  setup.script.settle();
  EXPECT(setup.script.counter(&Counters::pipes_in_use) == 0);
}

void chatty_flows_hold_no_pipe() {
  Frontend setup;
  const Flow flow = setup.flow();
  for (int i = 0; i < 200; i++) {
    write_all(flow.client, "ping");
    EXPECT(read_some(flow.endpoint, 4) == "ping");
    write_all(flow.endpoint, "pong");
    EXPECT(read_some(flow.client, 4) == "pong");
  }
  setup.script.settle();
  EXPECT(setup.script.counter(&Counters::spliced_bytes) == 0);
  EXPECT(setup.script.counter(&Counters::copied_bytes) == 1600);
  EXPECT(setup.script.counter(&Counters::pipes_pooled) == 0);
}

void bulk_is_spliced_and_chat_after_it_copied() {
  Frontend setup;
  const Flow flow = setup.flow();
  const std::string bulk(8 << 20, 'b');
  std::thread writer([&] { write_all(flow.client, bulk); });
  EXPECT(read_some(flow.endpoint, bulk.size()) == bulk);
  writer.join();
  setup.script.settle();
  EXPECT(setup.script.counter(&Counters::spliced_bytes) > 7e6);
  // The pipe went back: an idle flow holds none.
  EXPECT(setup.script.counter(&Counters::pipes_in_use) == 0);
  EXPECT(setup.script.counter(&Counters::pipes_pooled) == 1);
  const auto chat = [&](int times) {
    for (int i = 0; i < times; i++) {
      write_all(flow.client, "ping");
      EXPECT(read_some(flow.endpoint, 4) == "ping");
    }
    setup.script.settle();
  };
  chat(20);
  const double copied = setup.script.counter(&Counters::copied_bytes);
  chat(20);
  EXPECT(setup.script.counter(&Counters::copied_bytes) == copied + 80);
}

void a_slow_reader_waits_alone() {
  Frontend setup;
  const Flow slow = setup.flow({}, 4096);
  const Flow quick = setup.flow();
  // Nobody reads this: it has to stop on its own, with little held.
  const std::string bulk(64 << 10, 's');
  size_t taken = 0;
  const timeval no_patience{0, 200'000};
  ::setsockopt(slow.endpoint.get(), SOL_SOCKET, SO_SNDTIMEO, &no_patience, sizeof no_patience);
  for (ssize_t sent = 1; sent > 0 && taken < (256U << 20);
       taken += static_cast<size_t>(sent > 0 ? sent : 0))
    sent = ::send(slow.endpoint.get(), bulk.data(), bulk.size(), MSG_NOSIGNAL);
  EXPECT(taken < (32U << 20));
  const auto begun = Clock::now();
  for (int i = 0; i < 100; i++) {
    write_all(quick.client, "ping");
    EXPECT(read_some(quick.endpoint, 4) == "ping");
  }
  EXPECT(Clock::now() - begun < 5s);
  setup.script.settle();
  const auto turns = setup.script.word(Word::kTurns);
  std::this_thread::sleep_for(300ms);
  EXPECT(setup.script.word(Word::kTurns) - turns < 30); // waits, and does not spin
  // When it reads after all, it gets everything.
  ::shutdown(slow.endpoint.get(), SHUT_WR);
  EXPECT(read_to_the_end(slow.client, 1, 0).size == taken);
}

void resets_are_passed_on() {
  Frontend setup;
  for (const bool by_client : {true, false}) {
    const auto end_with = [&](Flow &flow) {
      Fd &sender = by_client ? flow.client : flow.endpoint;
      const Fd &other = by_client ? flow.endpoint : flow.client;
      reset(std::move(sender));
      EXPECT(end_of(other) == ECONNRESET);
      const Event ended = setup.script.must(EventKind::kEnded);
      EXPECT(ended.ended.outcome ==
             (by_client ? Outcome::kResetByClient : Outcome::kResetByEndpoint));
      EXPECT(ended.flags == (kHasClientLeg | kHasEndpointLeg));
    };
    // Before a byte.
    Flow fresh = setup.flow();
    end_with(fresh);
    // After its own end, while the other side still talks.
    Flow half = setup.flow();
    ::shutdown((by_client ? half.client : half.endpoint).get(), SHUT_WR);
    EXPECT(end_of(by_client ? half.endpoint : half.client) == 0);
    reset(std::move(by_client ? half.client : half.endpoint));
    const Fd &talker = by_client ? half.endpoint : half.client;
    char byte = 0;
    EXPECT(::recv(talker.get(), &byte, 1, 0) <= 0);
    EXPECT(setup.script.must(EventKind::kEnded).ended.outcome ==
           (by_client ? Outcome::kResetByClient : Outcome::kResetByEndpoint));
    // While the other side does not read and everything is full, small and bulk.
    for (const size_t chunk : {size_t{1000}, size_t{64 << 10}}) {
      Flow full = setup.flow({}, 4096);
      const Fd &sender = by_client ? full.client : full.endpoint;
      const timeval no_patience{0, 100'000};
      ::setsockopt(sender.get(), SOL_SOCKET, SO_SNDTIMEO, &no_patience, sizeof no_patience);
      const std::string text(chunk, 'f');
      while (::send(sender.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0)
        ;
      reset(std::move(by_client ? full.client : full.endpoint));
      const Event ended = setup.script.must(EventKind::kEnded);
      EXPECT(ended.ended.outcome ==
             (by_client ? Outcome::kResetByClient : Outcome::kResetByEndpoint));
    }
  }
  setup.script.settle();
  EXPECT(setup.script.counter(&Counters::pipes_in_use) == 0);
  EXPECT(setup.script.counter(&Counters::connections) == 0);
}

void an_answer_before_a_reset_arrives() {
  Frontend setup;
  const std::string bulk(1 << 20, 'u');
  for (int i = 0; i < 50; i++) {
    Flow flow = setup.flow();
    const timeval little_patience{0, 50'000};
    ::setsockopt(flow.client.get(), SOL_SOCKET, SO_SNDTIMEO, &little_patience,
                 sizeof little_patience);
    std::thread upload([&] {
      while (::send(flow.client.get(), bulk.data(), bulk.size(), MSG_NOSIGNAL) > 0)
        ;
    });
    EXPECT(read_some(flow.endpoint, 1000).size() == 1000);
    write_all(flow.endpoint, "413 too large");
    flow.endpoint.reset(); // with bytes that nobody read
    EXPECT(read_some(flow.client, 13) == "413 too large");
    upload.join();
    const Event ended = setup.script.must(EventKind::kEnded);
    EXPECT(ended.ended.outcome == Outcome::kResetByEndpoint);
    EXPECT(ended.ended.from_endpoint == 13);
  }
}

void urgent_bytes_stay_in_the_stream() {
  Frontend setup;
  for (const bool from_client : {true, false}) {
    const Flow flow = setup.flow();
    const Fd &sender = from_client ? flow.client : flow.endpoint;
    const Fd &reader = from_client ? flow.endpoint : flow.client;
    const auto arrives = [&](const std::string &before, const std::string &after) {
      std::thread writer([&] {
        write_all(sender, before);
        EXPECT(::send(sender.get(), "!", 1, MSG_OOB) == 1);
        write_all(sender, after);
      });
      const std::string all = before + "!" + after;
      EXPECT(read_some(reader, all.size()) == all);
      writer.join();
    };
    arrives("before", "after");
    // In the middle of what is spliced, where the kernel stops short of it.
    for (int i = 0; i < 20; i++)
      arrives(std::string(3 << 20, 'b'), std::string(1 << 20, 'a'));
    // And nothing was taken for an end.
    write_all(reader, "answer");
    EXPECT(read_some(sender, 6) == "answer");
  }
}

void many_flows_at_once() {
  Frontend setup;
  std::vector<Flow> flows;
  for (int i = 0; i < 24; i++)
    flows.push_back(setup.flow());
  std::vector<std::thread> threads;
  std::atomic<int> equal = 0;
  for (unsigned i = 0; i < flows.size(); i++)
    threads.emplace_back([&, i] {
      const size_t chunk = i % 2 == 0 ? 3'000 : 100'000;
      const Both both = transfer(flows[i], i, {1 << 20, chunk, 50}, {2 << 20, chunk, 0});
      if (both.up_sent == both.up_read && both.down_sent == both.down_read)
        equal++;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT(equal == static_cast<int>(flows.size()));
  for (size_t i = 0; i < flows.size(); i++)
    EXPECT(setup.script.must(EventKind::kEnded).ended.outcome == Outcome::kClosed);
}

} // namespace

int main() {
  everything_arrives("small", {300'000, 600, 40}, {300'000, 600, 40});
  everything_arrives("mixed", {6 << 20, 50'000, 30}, {6 << 20, 5'000, 100});
  everything_arrives("bulk", {24 << 20, 1 << 20, 0}, {24 << 20, 1 << 20, 0});
  everything_arrives("one way", {0, 1, 0}, {16 << 20, 300'000, 10});
  everything_arrives("nothing", {0, 1, 0}, {0, 1, 0});
  chatty_flows_hold_no_pipe();
  bulk_is_spliced_and_chat_after_it_copied();
  a_slow_reader_waits_alone();
  resets_are_passed_on();
  an_answer_before_a_reset_arrives();
  urgent_bytes_stay_in_the_stream();
  many_flows_at_once();
  return test::failures;
}
