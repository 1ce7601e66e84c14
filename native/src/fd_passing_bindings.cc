#include "bindings.h"

#include "net/fd_passing.h"
#include <cstring>

namespace shunt {

namespace {

napi_value own(const Call &call, Fd fd) {
  napi_value result = call.of(fd.get());
  fd.release();
  return result;
}

/** unixListen(path, mode, backlog) -> fd */
napi_value listen(const Call &call) {
  return own(call, listen_unix(call.text(0), call.natural(1), call.integer(2)));
}

/** unixConnect(path) -> fd */
napi_value connect(const Call &call) { return own(call, connect_unix(call.text(0))); }

/** unixPeer(fd) -> { pid, uid, gid } */
napi_value peer(const Call &call) {
  const ucred who = peer_credentials(call.integer(0));
  return call.object({
      {"pid", call.of(static_cast<int32_t>(who.pid))},
      {"uid", call.of(static_cast<uint32_t>(who.uid))},
      {"gid", call.of(static_cast<uint32_t>(who.gid))},
  });
}

/** sendFds(socket, message, fds): descriptors as the bytes of an Int32Array */
napi_value send(const Call &call) {
  const auto [message, message_size] = call.bytes(1);
  const auto [bytes, bytes_size] = call.bytes(2);
  std::vector<int> fds(bytes_size / sizeof(int));
  if (!fds.empty())
    std::memcpy(fds.data(), bytes, fds.size() * sizeof(int));
  send_with_fds(call.integer(0), {message, message_size}, fds);
  return call.undefined();
}

/** receiveFds(socket, maxBytes) -> { message, fds } or undefined; descriptors as sent */
napi_value receive(const Call &call) {
  std::optional<Received> received = receive_with_fds(call.integer(0), call.natural(1));
  if (!received)
    return call.undefined();
  std::vector<int> fds;
  for (const Fd &fd : received->fds)
    fds.push_back(fd.get());
  napi_value result = call.object({
      {"message", call.of(received->message.data(), received->message.size())},
      {"fds", call.of(fds.data(), fds.size() * sizeof(int))},
  });
  for (Fd &fd : received->fds)
    fd.release();
  return result;
}

constexpr Export kExports[] = {
    {"unixListen", guarded<listen>}, {"unixConnect", guarded<connect>}, {"unixPeer", guarded<peer>},
    {"sendFds", guarded<send>},      {"receiveFds", guarded<receive>},
};

} // namespace

std::span<const Export> fd_passing_exports() { return kExports; }

} // namespace shunt
