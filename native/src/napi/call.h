// The border to JavaScript: arguments in, values out, exceptions turned around. kernel/native.ts
// has checked every argument, so what is wrong here is a defect of ours and ends in a plain
// exception.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace shunt {

class Call {
public:
  Call(napi_env env, napi_callback_info info);

  napi_env env() const { return env_; }
  napi_value value(size_t index) const;
  bool has(size_t index) const;

  int32_t integer(size_t index) const;
  uint32_t natural(size_t index) const;
  bool boolean(size_t index) const;
  std::string text(size_t index) const;
  /** Valid until the call returns. */
  std::pair<const uint8_t *, size_t> bytes(size_t index) const;
  /** The same, to be written to. */
  std::pair<uint8_t *, size_t> buffer(size_t index) const;

  napi_value undefined() const;
  napi_value of(int32_t value) const;
  napi_value of(uint32_t value) const;
  napi_value of(bool value) const;
  napi_value of(const void *data, size_t size) const;
  napi_value object(std::initializer_list<std::pair<const char *, napi_value>> fields) const;

private:
  static constexpr size_t kMaxArguments = 10;
  napi_env env_;
  size_t count_ = kMaxArguments;
  napi_value values_[kMaxArguments];
};

/** Throws if a Node-API call failed. */
void check_napi(napi_status status, const char *what);

/** Turns the exception that is being handled into a pending JavaScript exception. */
void throw_to_js(napi_env env) noexcept;

/** A Node-API callback around a function that may throw. */
template <napi_value (*Function)(const Call &)>
napi_value guarded(napi_env env, napi_callback_info info) {
  try {
    return Function(Call(env, info));
  } catch (...) {
    throw_to_js(env);
    return nullptr;
  }
}

/** One name and function of the addon's exports. */
struct Export {
  const char *name;
  napi_callback function;
};

} // namespace shunt
