// The module: its exports, and one Instance for each environment that loads it.

#include "bindings.h"
#include "instance.h"

namespace shunt {

Instance &Instance::of(const Call &call) {
  void *data = nullptr;
  check_napi(napi_get_instance_data(call.env(), &data), "instance");
  return *static_cast<Instance *>(data);
}

namespace {

void define(napi_env env, napi_value exports, std::span<const Export> functions) {
  for (const Export &entry : functions) {
    napi_value function = nullptr;
    check_napi(
        napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, nullptr, &function),
        entry.name);
    check_napi(napi_set_named_property(env, exports, entry.name, function), entry.name);
  }
}

napi_value init(napi_env env, napi_value exports) {
  try {
    auto instance = std::make_unique<Instance>();
    check_napi(napi_set_instance_data(
                   env, instance.get(),
                   [](napi_env, void *data, void *) { delete static_cast<Instance *>(data); },
                   nullptr),
               "instance");
    instance.release();
    define(env, exports, socket_exports());
    define(env, exports, connector_exports());
    define(env, exports, netlink_exports());
    define(env, exports, bpf_exports());
    define(env, exports, relay_exports());
    define(env, exports, fd_passing_exports());
  } catch (...) {
    throw_to_js(env);
  }
  return exports;
}

} // namespace

} // namespace shunt

NAPI_MODULE_INIT() { return shunt::init(env, exports); }
