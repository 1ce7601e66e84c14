#include "bindings.h"

#include "instance.h"
#include "system_error.h"

#include <sys/socket.h>

namespace shunt {

namespace {

/** relayOpen(memory, onEvents) -> relay */
napi_value open(const Call &call) {
  return call.of(Instance::of(call).relays.add(
      std::make_unique<RelayLink>(call.env(), call.value(0), call.value(1))));
}

/** relayWake(relay) */
napi_value wake(const Call &call) {
  Instance::of(call).relays.at(call.natural(0)).relay().wake();
  return call.undefined();
}

/** relayPeek(fd, buffer) -> how many bytes, which stay where they are */
napi_value peek(const Call &call) {
  const auto [data, length] = call.buffer(1);
  const ssize_t got = ::recv(call.integer(0), data, length, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && errno != EAGAIN && errno != ECONNRESET)
    throw SystemError("recv", errno);
  return call.of(static_cast<uint32_t>(got < 0 ? 0 : got));
}

/**
 * relayAdopt(relay, connection, client, endpoint, idleMs, halfClosedMs, silentMs, lifetimeMs,
 * toEndpoint, toClient). The descriptors are the relay's from here on.
 */
napi_value adopt(const Call &call) {
  relay::Relay &relay = Instance::of(call).relays.at(call.natural(0)).relay();
  relay::Adoption adoption;
  adoption.id = call.natural(1);
  adoption.idle_ms = call.natural(4);
  adoption.half_closed_ms = call.natural(5);
  adoption.silent_ms = call.natural(6);
  adoption.lifetime_ms = call.natural(7);
  const auto [up, up_length] = call.bytes(8);
  adoption.to_endpoint.assign(up, up + up_length);
  const auto [down, down_length] = call.bytes(9);
  adoption.to_client.assign(down, down + down_length);
  const int client = call.integer(2);
  adoption.endpoint = Fd(call.integer(3));
  adoption.client = Fd(client);
  relay.adopt(std::move(adoption));
  return call.undefined();
}

/** relayClose(relay) */
napi_value close(const Call &call) {
  Instance::of(call).relays.close(call.natural(0));
  return call.undefined();
}

constexpr Export kExports[] = {
    {"relayOpen", guarded<open>},   {"relayWake", guarded<wake>},   {"relayPeek", guarded<peek>},
    {"relayAdopt", guarded<adopt>}, {"relayClose", guarded<close>},
};

} // namespace

std::span<const Export> relay_exports() { return kExports; }

} // namespace shunt
