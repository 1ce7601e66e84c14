// One netlink socket: a request goes out, its whole answer comes back. Encoding is TypeScript's
// job.
#pragma once

#include "../fd.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace shunt {

struct NetlinkReply {
  /** 0, or the errno of the kernel's answer. */
  int error = 0;
  /** Whole messages one after the other, without the final ACK or DONE. */
  std::vector<uint8_t> messages;
};

class NetlinkSocket {
public:
  explicit NetlinkSocket(int protocol);

  /**
   * Fills in length, sequence and port of the header. Throws SystemError when the socket itself
   * fails, ETIMEDOUT included; an error that the kernel answers with is in the reply.
   */
  NetlinkReply request(std::vector<uint8_t> message);

private:
  enum class Outcome { kDone, kInterrupted };

  void send(std::vector<uint8_t> &message);
  Outcome receive(NetlinkReply &reply);

  Fd fd_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

} // namespace shunt
