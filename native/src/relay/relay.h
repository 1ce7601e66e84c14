// An engine on a thread of its own.
#pragma once

#include "engine.h"

#include <thread>

namespace shunt::relay {

class Relay {
public:
  /** `wake_javascript` is called on the relay's thread; the memory must outlive the relay. */
  Relay(void *memory, size_t size, std::function<void()> wake_javascript);
  /** Resets every connection and joins the thread. */
  ~Relay();
  Relay(const Relay &) = delete;
  Relay &operator=(const Relay &) = delete;

  void wake() { engine_.wake(); }
  void adopt(Adoption adoption) { engine_.adopt(std::move(adoption)); }

private:
  void run();

  SharedMemory memory_;
  std::function<void()> wake_javascript_;
  Engine engine_;
  std::thread thread_;
};

} // namespace shunt::relay
