// Brings the results of a ConnectEngine to JavaScript, in batches: one wake-up of the event loop
// for all connections that ended since the last one. While connections are pending, the event loop
// stays alive.
#pragma once

#include "net/connect_engine.h"

#include <node_api.h>

#include <memory>

namespace shunt {

class Connector {
public:
  /** `report` is called with one Int32Array: id, fd or -1, errno, id, fd or -1, errno, ... */
  Connector(napi_env env, napi_value report);
  /** Joins the thread; results that were not delivered are closed. On the JavaScript thread only.
   */
  ~Connector();
  Connector(const Connector &) = delete;
  Connector &operator=(const Connector &) = delete;

  void submit(napi_env env, ConnectRequest request);
  void cancel(uint32_t id);

private:
  struct Result {
    uint32_t id;
    Fd fd;
    int error;
  };

  static void deliver(napi_env env, napi_value report, void *context, void *data);
  static void end(void *self);
  void add(Result result);

  napi_env env_;
  napi_threadsafe_function wake_ = nullptr;
  std::mutex mutex_;
  std::vector<Result> results_;           // guarded by mutex_
  size_t pending_ = 0;                    // JavaScript thread only
  std::unique_ptr<ConnectEngine> engine_; // empty once the environment is ending
};

} // namespace shunt
