// What the addon keeps for one environment (the main thread or one worker): nothing is global, so
// that several can load it. JavaScript holds open things by number; a number that is not open is an
// error, never a crash.
#pragma once

#include "connector.h"
#include "napi/call.h"
#include "netlink/netlink_socket.h"
#include "relay_link.h"

#include <memory>
#include <unordered_map>

namespace shunt {

template <typename Thing> class Table {
public:
  uint32_t add(std::unique_ptr<Thing> thing) {
    const uint32_t number = ++last_;
    things_.emplace(number, std::move(thing));
    return number;
  }
  Thing &at(uint32_t number) {
    const auto found = things_.find(number);
    if (found == things_.end())
      throw std::runtime_error("already closed");
    return *found->second;
  }
  /** Closing twice is not an error. */
  void close(uint32_t number) { things_.erase(number); }
  void clear() { things_.clear(); }

private:
  std::unordered_map<uint32_t, std::unique_ptr<Thing>> things_;
  uint32_t last_ = 0;
};

struct Instance {
  Table<Connector> connectors;
  Table<NetlinkSocket> netlink;
  Table<RelayLink> relays;

  static Instance &of(const Call &call);
};

} // namespace shunt
