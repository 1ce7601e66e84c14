#include "bindings.h"

#include "instance.h"

namespace shunt {

namespace {

/** netlinkOpen(protocol) -> socket */
napi_value open(const Call &call) {
  return call.of(Instance::of(call).netlink.add(std::make_unique<NetlinkSocket>(call.integer(0))));
}

/** netlinkRequest(socket, message) -> { errno, messages } */
napi_value request(const Call &call) {
  const auto [data, size] = call.bytes(1);
  const NetlinkReply reply =
      Instance::of(call).netlink.at(call.natural(0)).request({data, data + size});
  return call.object({
      {"errno", call.of(static_cast<int32_t>(reply.error))},
      {"messages", call.of(reply.messages.data(), reply.messages.size())},
  });
}

/** netlinkClose(socket) */
napi_value close(const Call &call) {
  Instance::of(call).netlink.close(call.natural(0));
  return call.undefined();
}

constexpr Export kExports[] = {
    {"netlinkOpen", guarded<open>},
    {"netlinkRequest", guarded<request>},
    {"netlinkClose", guarded<close>},
};

} // namespace

std::span<const Export> netlink_exports() { return kExports; }

} // namespace shunt
