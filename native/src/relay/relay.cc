#include "relay.h"

#include <pthread.h>
#include <signal.h>

namespace shunt::relay {

Relay::Relay(void *memory, size_t size, std::function<void()> wake_javascript)
    : memory_(memory, size), wake_javascript_(std::move(wake_javascript)),
      engine_(memory_, wake_javascript_) {
  // Signals are for the main thread; and a splice into a closed socket raises SIGPIPE, which no
  // flag of the call prevents.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Relay::~Relay() {
  engine_.stop();
  thread_.join();
}

void Relay::run() {
  ::pthread_setname_np(::pthread_self(), "shunt-relay");
  try {
    engine_.run();
  } catch (...) {
    // A defect of ours. The process lives on; whoever watches the word replaces this engine, and
    // its connections are reset when the relay is closed.
    memory_.word(Word::kDied).store(1);
    wake_javascript_();
  }
}

} // namespace shunt::relay
