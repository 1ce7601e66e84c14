// The exports, by concern. Arguments are plain numbers, texts and bytes; kernel/native.ts gives
// them their names.
#pragma once

#include "napi/call.h"

#include <span>

namespace shunt {

std::span<const Export> socket_exports();
std::span<const Export> connector_exports();
std::span<const Export> netlink_exports();
std::span<const Export> bpf_exports();
std::span<const Export> relay_exports();
std::span<const Export> fd_passing_exports();

} // namespace shunt
