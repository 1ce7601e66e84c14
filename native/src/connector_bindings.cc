#include "bindings.h"

#include "instance.h"

namespace shunt {

namespace {

/** connectorOpen(report) -> connector */
napi_value open(const Call &call) {
  return call.of(
      Instance::of(call).connectors.add(std::make_unique<Connector>(call.env(), call.value(0))));
}

/** connectorConnect(connector, id, address, port, mark, timeoutMs, source or undefined) */
napi_value connect(const Call &call) {
  const auto [address, length] = call.bytes(2);
  ConnectRequest request;
  request.id = call.natural(1);
  request.to = Endpoint::of(address, length, static_cast<uint16_t>(call.natural(3)));
  request.mark = call.natural(4);
  request.timeout_ms = call.natural(5);
  if (call.has(6)) {
    const auto [source, source_length] = call.bytes(6);
    request.source = Endpoint::of(source, source_length, 0);
  }
  Instance::of(call).connectors.at(call.natural(0)).submit(call.env(), std::move(request));
  return call.undefined();
}

/** connectorCancel(connector, id) */
napi_value cancel(const Call &call) {
  Instance::of(call).connectors.at(call.natural(0)).cancel(call.natural(1));
  return call.undefined();
}

/** connectorClose(connector) */
napi_value close(const Call &call) {
  Instance::of(call).connectors.close(call.natural(0));
  return call.undefined();
}

constexpr Export kExports[] = {
    {"connectorOpen", guarded<open>},
    {"connectorConnect", guarded<connect>},
    {"connectorCancel", guarded<cancel>},
    {"connectorClose", guarded<close>},
};

} // namespace

std::span<const Export> connector_exports() { return kExports; }

} // namespace shunt
