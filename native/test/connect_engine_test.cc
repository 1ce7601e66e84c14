// Every request ends exactly once, whatever happens around it; destruction leaves no descriptor.

#include "../src/net/connect_engine.h"
#include "../src/net/sockets.h"
#include "expect.h"

#include <dirent.h>

#include <condition_variable>

using namespace shunt;

namespace {

constexpr uint8_t kLoopback[4] = {127, 0, 0, 1};

struct Results {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<uint32_t, std::vector<int>> errors;
  std::vector<Fd> fds;

  ConnectEngine::Done sink() {
    return [this](uint32_t id, Fd fd, int error) {
      const std::lock_guard lock(mutex);
      errors[id].push_back(error);
      if (fd)
        fds.push_back(std::move(fd));
      changed.notify_all();
    };
  }
  bool wait_for(size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(10), [&] { return errors.size() >= count; });
  }
  int only(uint32_t id) {
    const std::lock_guard lock(mutex);
    return errors[id].size() == 1 ? errors[id][0] : -1;
  }
};

uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr *>(&address), &size);
  return ntohs(address.sin_port);
}

ConnectRequest request(uint32_t id, uint16_t port, uint32_t timeout_ms = 5000) {
  ConnectRequest result;
  result.id = id;
  result.to = Endpoint::of(kLoopback, 4, port);
  result.timeout_ms = timeout_ms;
  return result;
}

size_t open_descriptors() {
  DIR *folder = ::opendir("/proc/self/fd");
  size_t count = 0;
  while (::readdir(folder))
    count++;
  ::closedir(folder);
  return count;
}

/** A listener whose queue is full, so that further connections stay pending. */
struct FullListener {
  Fd listener;
  std::vector<Fd> queue;
  uint16_t port;

  FullListener() {
    listener = listen_tcp({Endpoint::of(kLoopback, 4, 0), 0, false, false, false});
    port = port_of(listener.get());
    const Endpoint to = Endpoint::of(kLoopback, 4, port);
    for (int i = 0; i < 8; i++) {
      Fd fd = outgoing_tcp(AF_INET, 0, std::nullopt);
      ::connect(fd.get(), to.address(), to.size);
      queue.push_back(std::move(fd));
    }
  }
};

void connects_and_is_refused() {
  Results results;
  const Fd listener = listen_tcp({Endpoint::of(kLoopback, 4, 0), 128, false, false, false});
  const Fd closed = listen_tcp({Endpoint::of(kLoopback, 4, 0), 1, false, false, false});
  const uint16_t unused = port_of(closed.get());
  ::shutdown(closed.get(), SHUT_RDWR);
  ConnectEngine engine(results.sink());
  for (uint32_t id = 1; id <= 100; id++)
    engine.submit(request(id, port_of(listener.get())));
  engine.submit(request(101, unused));
  EXPECT(results.wait_for(101));
  for (uint32_t id = 1; id <= 100; id++)
    EXPECT(results.only(id) == 0);
  EXPECT(results.only(101) == ECONNREFUSED);
  EXPECT(results.fds.size() == 100);
}

void binds_the_source() {
  Results results;
  const Fd listener = listen_tcp({Endpoint::of(kLoopback, 4, 0), 8, false, false, false});
  ConnectEngine engine(results.sink());
  const uint8_t source[4] = {127, 0, 0, 9};
  const uint8_t foreign[4] = {192, 0, 2, 1};
  auto good = request(1, port_of(listener.get()));
  good.source = Endpoint::of(source, 4, 0);
  auto bad = request(2, port_of(listener.get()));
  bad.source = Endpoint::of(foreign, 4, 0);
  engine.submit(good);
  engine.submit(bad);
  EXPECT(results.wait_for(2));
  EXPECT(results.only(1) == 0);
  EXPECT(results.only(2) == EADDRNOTAVAIL);
  sockaddr_in own{};
  socklen_t size = sizeof own;
  ::getsockname(results.fds.at(0).get(), reinterpret_cast<sockaddr *>(&own), &size);
  EXPECT(std::memcmp(&own.sin_addr, source, 4) == 0);
}

void times_out_and_is_cancelled() {
  const FullListener full;
  Results results;
  ConnectEngine engine(results.sink());
  const auto begun = std::chrono::steady_clock::now();
  engine.submit(request(1, full.port, 150));
  engine.submit(request(2, full.port, 60'000));
  engine.submit(request(3, full.port, 0));
  engine.cancel(2);
  engine.cancel(3);
  engine.cancel(4711);
  EXPECT(results.wait_for(3));
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT(results.only(1) == ETIMEDOUT);
  EXPECT(results.only(2) == ECANCELED);
  EXPECT(results.only(3) == ECANCELED);
  EXPECT(took >= std::chrono::milliseconds(149) && took < std::chrono::seconds(5));
}

void destruction_closes_what_is_pending() {
  const FullListener full;
  Results results;
  const size_t before = open_descriptors();
  for (int round = 0; round < 20; round++) {
    ConnectEngine engine(results.sink());
    for (uint32_t id = 0; id < 10; id++)
      engine.submit(request(id, full.port, 0));
  }
  EXPECT(open_descriptors() == before);
  EXPECT(results.errors.empty());
}

} // namespace

int main() {
  connects_and_is_refused();
  binds_the_source();
  times_out_and_is_cancelled();
  destruction_closes_what_is_pending();
  return test::failures;
}
