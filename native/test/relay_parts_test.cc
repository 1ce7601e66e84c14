// The laws of the timer wheel, the bounds of the pipe pool, the life of slots and rings.

#include "../src/relay/outbox.h"
#include "../src/relay/slots.h"
#include "expect.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <functional>
#include <random>
#include <set>

using namespace shunt;
using namespace shunt::relay;

namespace {

struct Probe {
  Timer timer; // first, see Connection
  uint64_t due_ms = 0;
  int fired = 0;
};

/** Arms, moves and cancels at random, and lets time pass by what `step` says. */
void fires_in_time(unsigned seed, uint64_t reach_ms, const std::function<uint64_t(uint64_t)> &step,
                   uint64_t tolerance_ms) {
  std::mt19937_64 random(seed);
  uint64_t now = 1'000'003 + seed;
  TimerWheel wheel(now);
  std::vector<Probe> probes(300);
  const auto arm = [&](Probe &probe) {
    probe.due_ms = now + random() % reach_ms;
    wheel.arm(probe.timer, probe.due_ms);
  };
  for (int round = 0; round < 3000; round++) {
    Probe &probe = probes[random() % probes.size()];
    if (random() % 4 == 0)
      TimerWheel::cancel(probe.timer);
    else
      arm(probe);
    const uint64_t passed = step(wheel.wait_ms(now, 100));
    now += passed;
    wheel.advance(now, [&](Timer &timer) {
      auto &fired = reinterpret_cast<Probe &>(timer);
      fired.fired++;
      EXPECT(!timer.armed());
      EXPECT(now >= fired.due_ms);
      EXPECT(now <= fired.due_ms + passed + tolerance_ms);
      if (random() % 2 == 0)
        arm(fired);
      if (random() % 8 == 0)
        TimerWheel::cancel(probes[random() % probes.size()].timer);
    });
    for (const Probe &each : probes)
      if (each.timer.armed())
        EXPECT(each.due_ms + TimerWheel::kTickMs + 1 > now);
  }
  int fired = 0;
  for (const Probe &each : probes)
    fired += each.fired;
  EXPECT(fired > 20);
}

void the_wheel_keeps_its_laws() {
  std::mt19937 random(7);
  const auto as_asked = [](uint64_t wait) { return wait; };
  const auto every_ms = [](uint64_t) -> uint64_t { return 1; };
  const auto in_jumps = [&](uint64_t) -> uint64_t { return random() % 20'000; };
  for (unsigned seed = 0; seed < 4; seed++) {
    fires_in_time(seed, 500, every_ms, TimerWheel::kTickMs);
    fires_in_time(seed, 6'000, as_asked, TimerWheel::kTickMs);
    fires_in_time(seed, 40'000, in_jumps, TimerWheel::kTickMs);
    fires_in_time(seed, 3 * 3'600'000, in_jumps, TimerWheel::kTickMs); // beyond the far wheel
  }
}

void cancelled_timers_stay_silent() {
  TimerWheel wheel(0);
  Probe probes[3];
  for (Probe &probe : probes)
    wheel.arm(probe.timer, 40);
  // One that fires takes the others of the same moment with it.
  int fired = 0;
  wheel.advance(100, [&](Timer &) {
    fired++;
    for (Probe &probe : probes)
      TimerWheel::cancel(probe.timer);
  });
  EXPECT(fired == 1);
  EXPECT(wheel.wait_ms(100, 5'000) == 5'000);
}

void pipes_are_bounded_and_used_again() {
  PipePool pool(3, 2);
  std::vector<std::unique_ptr<Pipe>> taken;
  for (int i = 0; i < 3; i++)
    taken.push_back(pool.take(0));
  EXPECT(taken[0] && taken[1] && taken[2] && pool.in_use() == 3);
  EXPECT(taken[0]->capacity >= PipePool::kLeastSize);
  EXPECT(!pool.take(0));
  const int first = taken[0]->read_end.get();
  const int dirty = taken[1]->read_end.get();
  EXPECT(::write(taken[1]->write_end.get(), "x", 1) == 1);
  pool.give(std::move(taken[1]), false);
  pool.give(std::move(taken[0]), true);
  pool.give(std::move(taken[2]), true);
  EXPECT(pool.in_use() == 0 && pool.pooled() == 2);
  EXPECT(::fcntl(dirty, F_GETFD) < 0 && ::fcntl(first, F_GETFD) >= 0);
  for (int i = 0; i < 3; i++)
    taken[i] = pool.take(0);
  for (auto &pipe : taken)
    pool.give(std::move(pipe), true);
  EXPECT(pool.pooled() == 2);
}

/** In a process of its own, whose limits may be spoilt. */
void in_a_child(void (*body)()) {
  const pid_t child = ::fork();
  if (child == 0) {
    test::failures = 0;
    body();
    ::_exit(test::failures);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void without_descriptors_there_is_no_pipe() {
  PipePool pool(100, 4);
  const rlimit none{3, 3};
  ::setrlimit(RLIMIT_NOFILE, &none);
  EXPECT(!pool.take(1'000));
  EXPECT(!pool.take(1'000 + PipePool::kPauseMs) && pool.in_use() == 0);
}

void beyond_the_users_share_there_is_no_small_pipe() {
  // Root may have any number of pages.
  if (::geteuid() == 0)
    EXPECT(::setresgid(61'234, 61'234, 61'234) == 0 && ::setresuid(61'234, 61'234, 61'234) == 0);
  PipePool pool(4'000, 4);
  std::vector<std::unique_ptr<Pipe>> taken;
  while (auto pipe = pool.take(0)) {
    EXPECT(pipe->capacity >= PipePool::kLeastSize);
    taken.push_back(std::move(pipe));
  }
  EXPECT(!taken.empty() && taken.size() < 4'000);
  // Not before the pause is over is the kernel asked again.
  const auto one = std::move(taken.back());
  taken.clear();
  EXPECT(!pool.take(PipePool::kPauseMs - 1));
  EXPECT(pool.take(PipePool::kPauseMs) != nullptr);
}

void slots_rest_before_they_are_used_again() {
  Slots slots(100'000);
  std::set<uint32_t> ids;
  Connection *first = slots.take();
  const uint32_t id = first->id;
  const uint32_t serial = first->serial;
  EXPECT(slots.find(id) == first && slots.at(first->slot, serial) == first);
  slots.give(*first);
  EXPECT(slots.find(id) == nullptr && slots.at(first->slot, serial) == nullptr);
  for (int i = 0; i < 20'000; i++) {
    Connection *next = slots.take();
    EXPECT(next != nullptr && next->id < (1U << 30));
    EXPECT(ids.insert(next->id).second && next->id != id);
    slots.give(*next);
  }
  EXPECT(slots.in_use() == 0);

  Slots few(3);
  Connection *taken[] = {few.take(), few.take(), few.take()};
  EXPECT(taken[2] != nullptr && few.take() == nullptr && few.in_use() == 3);
  few.give(*taken[1]);
  EXPECT(few.take() == taken[1]);
}

/** JavaScript that reads when it likes. */
struct Reader {
  alignas(
      64) uint8_t data[SharedMemory::kHeaderSize + 4 * sizeof(Event) + 4 * sizeof(Command) + 16];
  uint32_t *words() { return reinterpret_cast<uint32_t *>(data); }
  Reader() : data{} {
    words()[static_cast<size_t>(Word::kEventCapacity)] = 4;
    words()[static_cast<size_t>(Word::kCommandCapacity)] = 4;
    words()[static_cast<size_t>(Word::kSlots)] = 1;
    // The counts are modulo 2^32.
    words()[static_cast<size_t>(Word::kEventHead)] = ~0U - 1;
    words()[static_cast<size_t>(Word::kEventTail)] = ~0U - 1;
  }
  std::vector<uint32_t> read(const SharedMemory &memory, uint32_t most) {
    std::vector<uint32_t> seen;
    memory.word(Word::kWoken) = 0;
    uint32_t tail = memory.word(Word::kEventTail);
    for (; seen.size() < most && tail != memory.word(Word::kEventHead); tail++) {
      Event event;
      std::memcpy(&event, memory.event(tail), sizeof event);
      seen.push_back(event.connection);
    }
    memory.word(Word::kEventTail) = tail;
    return seen;
  }
};

void events_wait_for_a_slow_reader() {
  Reader reader;
  const SharedMemory memory(reader.data, sizeof reader.data);
  int wakes = 0;
  Outbox outbox(memory, [&] { wakes++; });
  std::vector<uint32_t> seen;
  const auto read = [&](uint32_t most) {
    for (const uint32_t id : reader.read(memory, most))
      seen.push_back(id);
  };
  Event event{};
  for (uint32_t id = 0; id < 11; id++) {
    event.connection = id;
    outbox.urgent(event, 1'000);
  }
  outbox.flush(1'000, false);
  EXPECT(outbox.clogged() && wakes == 1);
  outbox.flush(1'001, true);
  EXPECT(wakes == 1); // woken, and has not looked yet
  read(3);
  outbox.flush(1'002, true);
  EXPECT(wakes == 2 && outbox.clogged());
  for (uint64_t now = 1'003; seen.size() < 11 && now < 1'020; now++) {
    read(4);
    outbox.flush(now, true);
  }
  EXPECT(!outbox.clogged() && seen.size() == 11);
  for (uint32_t id = 0; id < seen.size(); id++)
    EXPECT(seen[id] == id);
}

void what_can_wait_rides_along() {
  Reader reader;
  const SharedMemory memory(reader.data, sizeof reader.data);
  int wakes = 0;
  Outbox outbox(memory, [&] { wakes++; });
  const Event event{};
  outbox.lazy(event, 10'000);
  outbox.flush(10'000, true);
  EXPECT(wakes == 0 && outbox.wait_ms(11'000, 100) == 4);
  outbox.flush(10'000 + Outbox::kLazyUs, false);
  EXPECT(wakes == 1 && outbox.wait_ms(15'000, 100) == 100);
  EXPECT(reader.read(memory, 9).size() == 1);
  // Urgent: when the loop has nothing else to do, or cannot wait longer.
  outbox.lazy(event, 20'000);
  outbox.urgent(event, 20'000);
  outbox.flush(20'000, false);
  EXPECT(wakes == 1 && outbox.wait_ms(20'010, 100) == 0);
  outbox.flush(20'050, true);
  EXPECT(wakes == 2);
  outbox.flush(40'000, true);
  EXPECT(wakes == 2); // both were told
  EXPECT(reader.read(memory, 9).size() == 2);
  outbox.urgent(event, 50'000);
  outbox.flush(50'000 + Outbox::kUrgentUs - 1, false);
  EXPECT(wakes == 2);
  outbox.flush(50'000 + Outbox::kUrgentUs, false);
  EXPECT(wakes == 3 && reader.read(memory, 9).size() == 1);
  // Somebody read without having been woken: there is nothing to wake for.
  outbox.lazy(event, 60'000);
  EXPECT(reader.read(memory, 9).size() == 1);
  outbox.flush(70'000, true);
  EXPECT(wakes == 3);
}

void memory_of_the_wrong_size_is_refused() {
  Reader reader;
  const auto refused = [&](size_t size) {
    try {
      SharedMemory(reader.data, size);
      return false;
    } catch (const std::invalid_argument &) {
      return true;
    }
  };
  EXPECT(!refused(sizeof reader.data));
  EXPECT(refused(100) && refused(sizeof reader.data - 64));
  reader.words()[static_cast<size_t>(Word::kEventCapacity)] = 3;
  EXPECT(refused(sizeof reader.data));
}

} // namespace

int main() {
  the_wheel_keeps_its_laws();
  cancelled_timers_stay_silent();
  pipes_are_bounded_and_used_again();
  in_a_child(without_descriptors_there_is_no_pipe);
  in_a_child(beyond_the_users_share_there_is_no_small_pipe);
  slots_rest_before_they_are_used_again();
  events_wait_for_a_slow_reader();
  what_can_wait_rides_along();
  memory_of_the_wrong_size_is_refused();
  return test::failures;
}
