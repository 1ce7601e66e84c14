// Where connections live: they never move, and a slot is used again as late as possible, because
// its number is most of the connection's id and JavaScript may have late news for the old one.
#pragma once

#include "connection.h"

#include <vector>

namespace shunt::relay {

class Slots {
public:
  explicit Slots(uint32_t most);

  /** A fresh connection with slot, id and serial; nullptr if there is no slot or no memory. */
  Connection *take();
  void give(Connection &connection);

  /** The connection with this id, if it still is. */
  Connection *find(uint32_t id);
  Connection *at(uint32_t slot, uint32_t serial);
  uint32_t in_use() const { return in_use_; }
  /** `action(Connection &)` may give it back. */
  template <typename Action> void each(Action &&action) {
    for (uint32_t slot = 0; slot < made_; slot++)
      if (Connection &connection = get(slot); connection.state != State::kFree)
        action(connection);
  }

private:
  static constexpr uint32_t kBlock = 256;
  /** Free slots that are kept from use for a while; costs about a megabyte. */
  static constexpr uint32_t kRest = 4096;

  Connection &get(uint32_t slot) { return blocks_[slot / kBlock][slot % kBlock]; }
  bool grow();
  void add_free(uint32_t slot) { free_[(first_free_ + free_count_++) % most_] = slot; }

  uint32_t most_;
  uint32_t made_ = 0;
  uint32_t in_use_ = 0;
  uint32_t serial_ = 0;
  std::vector<std::unique_ptr<Connection[]>> blocks_;
  // Both have `most_` elements from the start, so that nothing has to grow; memory that was never
  // written costs nothing.
  std::unique_ptr<uint16_t[]> generations_;
  std::unique_ptr<uint32_t[]> free_; // a ring, oldest first
  uint32_t first_free_ = 0, free_count_ = 0;
};

} // namespace shunt::relay
