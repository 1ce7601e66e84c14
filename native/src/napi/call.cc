#include "call.h"

#include "../system_error.h"

#include <cstring>

namespace shunt {

void check_napi(napi_status status, const char *what) {
  if (status != napi_ok)
    throw std::runtime_error(std::string(what) + ": Node-API status " + std::to_string(status));
}

Call::Call(napi_env env, napi_callback_info info) : env_(env) {
  check_napi(napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr), "arguments");
}

napi_value Call::value(size_t index) const {
  if (index >= count_ || index >= kMaxArguments)
    throw std::runtime_error("argument " + std::to_string(index) + " is missing");
  return values_[index];
}

bool Call::has(size_t index) const {
  napi_valuetype type = napi_undefined;
  if (index < count_ && index < kMaxArguments)
    check_napi(napi_typeof(env_, values_[index], &type), "typeof");
  return type != napi_undefined;
}

int32_t Call::integer(size_t index) const {
  int32_t result = 0;
  check_napi(napi_get_value_int32(env_, value(index), &result), "integer");
  return result;
}

uint32_t Call::natural(size_t index) const {
  uint32_t result = 0;
  check_napi(napi_get_value_uint32(env_, value(index), &result), "natural number");
  return result;
}

bool Call::boolean(size_t index) const {
  bool result = false;
  check_napi(napi_get_value_bool(env_, value(index), &result), "boolean");
  return result;
}

std::string Call::text(size_t index) const {
  size_t length = 0;
  check_napi(napi_get_value_string_utf8(env_, value(index), nullptr, 0, &length), "text");
  std::string result(length, '\0');
  check_napi(napi_get_value_string_utf8(env_, value(index), result.data(), length + 1, &length),
             "text");
  return result;
}

std::pair<const uint8_t *, size_t> Call::bytes(size_t index) const { return buffer(index); }

std::pair<uint8_t *, size_t> Call::buffer(size_t index) const {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void *data = nullptr;
  check_napi(napi_get_typedarray_info(env_, value(index), &type, &length, &data, nullptr, nullptr),
             "bytes");
  if (type != napi_uint8_array)
    throw std::runtime_error("argument " + std::to_string(index) + " is not a Uint8Array");
  return {static_cast<uint8_t *>(data), length};
}

napi_value Call::undefined() const {
  napi_value result = nullptr;
  check_napi(napi_get_undefined(env_, &result), "undefined");
  return result;
}

napi_value Call::of(int32_t value) const {
  napi_value result = nullptr;
  check_napi(napi_create_int32(env_, value, &result), "integer");
  return result;
}

napi_value Call::of(uint32_t value) const {
  napi_value result = nullptr;
  check_napi(napi_create_uint32(env_, value, &result), "natural number");
  return result;
}

napi_value Call::of(bool value) const {
  napi_value result = nullptr;
  check_napi(napi_get_boolean(env_, value, &result), "boolean");
  return result;
}

napi_value Call::of(const void *data, size_t size) const {
  void *target = nullptr;
  napi_value buffer = nullptr;
  napi_value result = nullptr;
  check_napi(napi_create_arraybuffer(env_, size, &target, &buffer), "bytes");
  if (size > 0)
    std::memcpy(target, data, size);
  check_napi(napi_create_typedarray(env_, napi_uint8_array, size, buffer, 0, &result), "bytes");
  return result;
}

napi_value Call::object(std::initializer_list<std::pair<const char *, napi_value>> fields) const {
  napi_value result = nullptr;
  check_napi(napi_create_object(env_, &result), "object");
  for (const auto &[name, field] : fields)
    check_napi(napi_set_named_property(env_, result, name, field), "object");
  return result;
}

namespace {

/** Best effort: if even this fails, JavaScript gets an exception without the detail. */
void throw_system_error(napi_env env, const SystemError &failure) noexcept {
  napi_value message = nullptr;
  napi_value error = nullptr;
  napi_value code = nullptr;
  napi_value call = nullptr;
  if (napi_create_string_utf8(env, failure.what(), NAPI_AUTO_LENGTH, &message) != napi_ok ||
      napi_create_error(env, nullptr, message, &error) != napi_ok ||
      napi_create_int32(env, failure.code(), &code) != napi_ok ||
      napi_set_named_property(env, error, "errno", code) != napi_ok ||
      napi_create_string_utf8(env, failure.call(), NAPI_AUTO_LENGTH, &call) != napi_ok ||
      napi_set_named_property(env, error, "syscall", call) != napi_ok ||
      napi_throw(env, error) != napi_ok)
    napi_throw_error(env, nullptr, failure.what());
}

} // namespace

void throw_to_js(napi_env env) noexcept {
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending)
    return;
  try {
    throw;
  } catch (const SystemError &failure) {
    throw_system_error(env, failure);
  } catch (const std::exception &failure) {
    napi_throw_error(env, nullptr, failure.what());
  } catch (...) {
    napi_throw_error(env, nullptr, "unknown exception");
  }
}

} // namespace shunt
