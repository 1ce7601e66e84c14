// Real answers of the kernel: a dump in parts, an error, and requests that make no sense.

#include "../src/netlink/netlink_socket.h"
#include "../src/system_error.h"
#include "expect.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstring>

using namespace shunt;

namespace {

std::vector<uint8_t> link_request(uint16_t flags, int index) {
  std::vector<uint8_t> bytes(NLMSG_LENGTH(sizeof(ifinfomsg)));
  nlmsghdr header{};
  header.nlmsg_type = RTM_GETLINK;
  header.nlmsg_flags = flags;
  ifinfomsg body{};
  body.ifi_index = index;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + NLMSG_HDRLEN, &body, sizeof body);
  return bytes;
}

size_t count_messages(const std::vector<uint8_t> &bytes) {
  size_t count = 0;
  for (size_t at = 0; at + sizeof(nlmsghdr) <= bytes.size(); count++) {
    nlmsghdr header;
    std::memcpy(&header, bytes.data() + at, sizeof header);
    EXPECT(header.nlmsg_type == RTM_NEWLINK);
    at += NLMSG_ALIGN(header.nlmsg_len);
  }
  return count;
}

} // namespace

int main() {
  NetlinkSocket socket(NETLINK_ROUTE);
  const NetlinkReply all = socket.request(link_request(NLM_F_DUMP, 0));
  EXPECT(all.error == 0);
  EXPECT(count_messages(all.messages) >= 1);

  const NetlinkReply one = socket.request(link_request(0, 1));
  EXPECT(one.error == 0);
  EXPECT(count_messages(one.messages) == 1);

  const NetlinkReply none = socket.request(link_request(0, 0x7ffffff0));
  EXPECT(none.error == ENODEV);
  EXPECT(none.messages.empty());

  const NetlinkReply again = socket.request(link_request(NLM_F_DUMP, 0));
  EXPECT(again.error == 0 && again.messages.size() == all.messages.size());

  bool refused = false;
  try {
    socket.request({1, 2, 3});
  } catch (const SystemError &failure) {
    refused = failure.code() == EINVAL;
  }
  EXPECT(refused);
  return test::failures;
}
