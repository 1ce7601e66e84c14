#include "bindings.h"

#include "net/sockets.h"
#include "process/privileges.h"
#include "system_error.h"

#include <fcntl.h>

namespace shunt {

namespace {

/** listenTcp(address, port, backlog, transparent, reusePort, v6only) -> fd */
napi_value listen(const Call &call) {
  const auto [address, length] = call.bytes(0);
  ListenOptions options;
  options.at = Endpoint::of(address, length, static_cast<uint16_t>(call.natural(1)));
  options.backlog = call.integer(2);
  options.transparent = call.boolean(3);
  options.reuse_port = call.boolean(4);
  options.v6_only = call.boolean(5);
  Fd fd = listen_tcp(options);
  napi_value result = call.of(fd.get());
  fd.release();
  return result;
}

/** closeFd(fd) */
napi_value close_fd(const Call &call) {
  // EINTR: on Linux the descriptor is closed all the same.
  if (::close(call.integer(0)) < 0 && errno != EINTR)
    throw SystemError("close", errno);
  return call.undefined();
}

/** duplicateFd(fd) -> fd */
napi_value duplicate(const Call &call) {
  return call.of(check("fcntl F_DUPFD_CLOEXEC", ::fcntl(call.integer(0), F_DUPFD_CLOEXEC, 0)));
}

/** setSocketMark(fd, mark) */
napi_value mark(const Call &call) {
  set_mark(call.integer(0), call.natural(1));
  return call.undefined();
}

/** originalDestination(fd, v6) -> address and port in network order, or undefined */
napi_value original(const Call &call) {
  const bool v6 = call.boolean(1);
  const auto address = original_destination(call.integer(0), v6);
  if (!address)
    return call.undefined();
  uint8_t bytes[18];
  const size_t length = v6 ? 16 : 4;
  if (v6) {
    const auto *v6_address = reinterpret_cast<const sockaddr_in6 *>(&*address);
    std::memcpy(bytes, &v6_address->sin6_addr, length);
    std::memcpy(bytes + length, &v6_address->sin6_port, 2);
  } else {
    const auto *v4_address = reinterpret_cast<const sockaddr_in *>(&*address);
    std::memcpy(bytes, &v4_address->sin_addr, length);
    std::memcpy(bytes + length, &v4_address->sin_port, 2);
  }
  return call.of(bytes, length + 2);
}

/** dropPrivileges(uid, gid, capabilities) */
napi_value drop(const Call &call) {
  drop_privileges(call.natural(0), call.natural(1), call.natural(2));
  return call.undefined();
}

constexpr Export kExports[] = {
    {"listenTcp", guarded<listen>},
    {"closeFd", guarded<close_fd>},
    {"duplicateFd", guarded<duplicate>},
    {"setSocketMark", guarded<mark>},
    {"originalDestination", guarded<original>},
    {"dropPrivileges", guarded<drop>},
};

} // namespace

std::span<const Export> socket_exports() { return kExports; }

} // namespace shunt
