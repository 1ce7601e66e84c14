#include "relay_link.h"

#include "napi/call.h"

namespace shunt {

RelayLink::RelayLink(napi_env env, napi_value memory, napi_value on_events) : env_(env) {
  void *data = nullptr;
  size_t size = 0;
  check_napi(napi_get_arraybuffer_info(env, memory, &data, &size), "relay memory");
  napi_value name = nullptr;
  check_napi(napi_create_string_utf8(env, "shunt.relay", NAPI_AUTO_LENGTH, &name), "relay");
  check_napi(napi_create_threadsafe_function(env, on_events, nullptr, name, 0, 1, nullptr, nullptr,
                                             this, deliver, &wake_),
             "relay");
  try {
    check_napi(napi_create_reference(env, memory, 1, &memory_), "relay memory");
    // A refused call means that the environment is ending, and with it the relay.
    relay_ = std::make_unique<relay::Relay>(data, size, [wake = wake_] {
      napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking);
    });
    // Registered after the function that Node frees in a hook of its own, so it runs before that:
    // see Connector.
    check_napi(napi_add_env_cleanup_hook(env, end, this), "relay");
  } catch (...) {
    end(this);
    throw;
  }
}

RelayLink::~RelayLink() {
  if (!relay_)
    return;
  napi_remove_env_cleanup_hook(env_, end, this);
  end(this);
}

/** Either closed by JavaScript or by the end of the environment, whichever comes first. */
void RelayLink::end(void *self) {
  auto &link = *static_cast<RelayLink *>(self);
  link.relay_.reset();
  napi_release_threadsafe_function(link.wake_, napi_tsfn_abort);
  if (link.memory_ != nullptr)
    napi_delete_reference(link.env_, link.memory_);
}

relay::Relay &RelayLink::relay() {
  if (!relay_)
    throw std::runtime_error("already closed");
  return *relay_;
}

/** On the JavaScript thread. A call that was queued before the end comes with no environment. */
void RelayLink::deliver(napi_env env, napi_value on_events, void *, void *) {
  napi_value receiver = nullptr;
  if (env != nullptr && napi_get_undefined(env, &receiver) == napi_ok)
    napi_call_function(env, receiver, on_events, 0, nullptr, nullptr);
}

} // namespace shunt
