// Joins a relay engine to JavaScript: the memory that both use is kept alive, and JavaScript is
// called when there are events to read. While it is open, the event loop stays alive.
#pragma once

#include "relay/relay.h"

#include <node_api.h>

#include <memory>

namespace shunt {

class RelayLink {
public:
  /** `memory` is an ArrayBuffer with a header as relay/shared_memory.h says. */
  RelayLink(napi_env env, napi_value memory, napi_value on_events);
  /** Resets every connection and joins the thread. On the JavaScript thread only. */
  ~RelayLink();
  RelayLink(const RelayLink &) = delete;
  RelayLink &operator=(const RelayLink &) = delete;

  /** Throws once the environment is ending. */
  relay::Relay &relay();

private:
  static void deliver(napi_env env, napi_value on_events, void *context, void *data);
  static void end(void *self);

  napi_env env_;
  napi_ref memory_ = nullptr;
  napi_threadsafe_function wake_ = nullptr;
  std::unique_ptr<relay::Relay> relay_; // empty once the environment is ending
};

} // namespace shunt
