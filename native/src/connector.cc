#include "connector.h"

#include "napi/call.h"

#include <cstring>

namespace shunt {

Connector::Connector(napi_env env, napi_value report) : env_(env) {
  napi_value name = nullptr;
  check_napi(napi_create_string_utf8(env, "shunt.connector", NAPI_AUTO_LENGTH, &name), "connector");
  // The context is the connector itself. It outlives every call: after the release in the
  // destructor, which runs on the same thread, a call that is still queued comes with a null
  // environment or finds nothing and touches nothing.
  check_napi(napi_create_threadsafe_function(env, report, nullptr, name, 0, 1, nullptr, nullptr,
                                             this, deliver, &wake_),
             "connector");
  check_napi(napi_unref_threadsafe_function(env, wake_), "connector");
  // Node frees the function in a hook of its own at the end of the environment. Hooks run last
  // first, so this one, registered after it, joins the thread while the function is still there.
  check_napi(napi_add_env_cleanup_hook(env, end, this), "connector");
  engine_ = std::make_unique<ConnectEngine>([this](uint32_t id, Fd fd, int error) {
    add({id, std::move(fd), error});
  });
}

Connector::~Connector() {
  if (!engine_)
    return;
  napi_remove_env_cleanup_hook(env_, end, this);
  end(this);
}

/** Either closed by JavaScript or by the end of the environment, whichever comes first. */
void Connector::end(void *self) {
  auto &connector = *static_cast<Connector *>(self);
  connector.engine_.reset();
  napi_release_threadsafe_function(connector.wake_, napi_tsfn_abort);
}

void Connector::submit(napi_env env, ConnectRequest request) {
  if (!engine_)
    throw std::runtime_error("already closed");
  if (pending_++ == 0)
    check_napi(napi_ref_threadsafe_function(env, wake_), "connector");
  engine_->submit(std::move(request));
}

void Connector::cancel(uint32_t id) {
  if (engine_)
    engine_->cancel(id);
}

/** On the engine's thread. */
void Connector::add(Result result) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = results_.empty();
    results_.push_back(std::move(result));
  }
  // A refused call means that the environment is ending; the destructor closes what is left.
  if (first)
    napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

/** On the JavaScript thread. */
void Connector::deliver(napi_env env, napi_value report, void *context, void *) {
  if (env == nullptr)
    return;
  auto &self = *static_cast<Connector *>(context);
  std::vector<Result> results;
  {
    const std::lock_guard lock(self.mutex_);
    results.swap(self.results_);
  }
  if (results.empty())
    return;
  if ((self.pending_ -= results.size()) == 0)
    napi_unref_threadsafe_function(env, self.wake_);

  void *data = nullptr;
  napi_value buffer = nullptr;
  napi_value numbers = nullptr;
  napi_value receiver = nullptr;
  const size_t length = results.size() * 3;
  if (napi_create_arraybuffer(env, length * sizeof(int32_t), &data, &buffer) != napi_ok ||
      napi_create_typedarray(env, napi_int32_array, length, buffer, 0, &numbers) != napi_ok ||
      napi_get_undefined(env, &receiver) != napi_ok)
    return; // the environment is ending; the results close their descriptors
  auto *number = static_cast<int32_t *>(data);
  for (Result &result : results) {
    *number++ = static_cast<int32_t>(result.id);
    *number++ = result.fd.release();
    *number++ = result.error;
  }
  napi_call_function(env, receiver, report, 1, &numbers, nullptr);
}

} // namespace shunt
