// Two acceptors on one socket, as in a hand-over: a connection for which the one that stops was
// woken is not forgotten.

#include "../src/net/sockets.h"
#include "../src/relay/acceptor.h"
#include "expect.h"

#include <sys/epoll.h>

#include <arpa/inet.h>

#include <chrono>
#include <thread>

using namespace shunt;

namespace {

struct Side {
  Fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  relay::Counters counters{};
  int taken = 0, failed = 0;
  relay::Acceptor acceptor{epoll.get(), counters, [this](relay::Accepted) { taken++; },
                           [this](int, int) { failed++; }};

  explicit Side(int listener) {
    acceptor.add(listener);
    acceptor.watch(true, 1000);
  }
  bool woken(int timeout_ms) {
    epoll_event event{};
    return ::epoll_wait(epoll.get(), &event, 1, timeout_ms) == 1;
  }
};

Fd listener_on(sockaddr_in &at) {
  ListenOptions options;
  const uint8_t loopback[] = {127, 0, 0, 1};
  options.at = Endpoint::of(loopback, sizeof loopback, 0);
  options.backlog = 16;
  Fd fd = listen_tcp(options);
  socklen_t size = sizeof at;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr *>(&at), &size);
  return fd;
}

Fd dial(const sockaddr_in &to) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT(::connect(fd.get(), reinterpret_cast<const sockaddr *>(&to), sizeof to) == 0);
  return fd;
}

} // namespace

int main() {
  sockaddr_in at{};
  const Fd listener = listener_on(at);
  Side first(listener.get());
  Side second(listener.get());
  // The kernel wakes one that waits, and no other.
  std::thread waiting([&] { EXPECT(first.woken(10'000)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const Fd one = dial(at);
  waiting.join();
  // It stops before it has looked.
  first.acceptor.remove(listener.get());
  if (second.woken(0))
    second.acceptor.accept(listener.get(), 1000);
  EXPECT(first.taken + second.taken == 1);

  const Fd two = dial(at);
  EXPECT(second.woken(0));
  second.acceptor.accept(listener.get(), 1000);
  EXPECT(first.taken + second.taken == 2);

  // One that listens no more is told of once, and not looked at again.
  ::shutdown(listener.get(), SHUT_RDWR);
  second.acceptor.accept(listener.get(), 1000);
  EXPECT(second.failed == 1);
  EXPECT(!second.woken(0));
  return test::failures;
}
