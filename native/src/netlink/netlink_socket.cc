#include "netlink_socket.h"

#include "../system_error.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>

namespace shunt {

namespace {

// The kernel makes dump parts of at most 32 KB, if the reader's buffer takes them.
constexpr size_t kBufferBytes = 64 * 1024;
constexpr int kReceiveQueueBytes = 1024 * 1024;
// 1,000,000 conntrack entries have about 300 MB; more than this is a defect somewhere.
constexpr size_t kMaxReplyBytes = 512 * 1024 * 1024;
constexpr int kMaxAttempts = 5;
constexpr std::chrono::seconds kPatience(2);

int remaining_ms(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}

} // namespace

NetlinkSocket::NetlinkSocket(int protocol)
    : fd_(check("socket", ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol))),
      buffer_(kBufferBytes) {
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  check("bind", ::bind(fd_.get(), reinterpret_cast<sockaddr *>(&self), sizeof self));
  // Without CAP_NET_ADMIN the smaller default stays, and long dumps may be repeated.
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveQueueBytes,
               sizeof kReceiveQueueBytes);
}

NetlinkReply NetlinkSocket::request(std::vector<uint8_t> message) {
  if (message.size() < sizeof(nlmsghdr))
    throw SystemError("netlink request", EINVAL);
  for (int attempt = 1;; attempt++) {
    NetlinkReply reply;
    send(message);
    if (receive(reply) == Outcome::kDone)
      return reply;
    if (attempt == kMaxAttempts)
      return {EINTR, {}};
  }
}

void NetlinkSocket::send(std::vector<uint8_t> &message) {
  nlmsghdr header;
  std::memcpy(&header, message.data(), sizeof header);
  header.nlmsg_len = static_cast<uint32_t>(message.size());
  header.nlmsg_flags |= NLM_F_REQUEST;
  if ((header.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
    header.nlmsg_flags |= NLM_F_ACK;
  header.nlmsg_seq = ++sequence_;
  header.nlmsg_pid = 0;
  std::memcpy(message.data(), &header, sizeof header);

  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do
    sent = ::sendto(fd_.get(), message.data(), message.size(), 0,
                    reinterpret_cast<sockaddr *>(&kernel), sizeof kernel);
  while (sent < 0 && errno == EINTR);
  check("sendto netlink", static_cast<int>(sent));
}

NetlinkSocket::Outcome NetlinkSocket::receive(NetlinkReply &reply) {
  bool interrupted = false;
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    pollfd ready{fd_.get(), POLLIN, 0};
    const int polled = ::poll(&ready, 1, remaining_ms(deadline));
    if (polled < 0 && errno == EINTR)
      continue;
    if (check("poll netlink", polled) == 0)
      throw SystemError("recv netlink", ETIMEDOUT);

    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    // Parts were lost. The rest is still read, because the kernel refuses a second dump until the
    // first has ended.
    if (got < 0 && errno == ENOBUFS) {
      interrupted = true;
      continue;
    }
    check("recv netlink", static_cast<int>(got));
    if (static_cast<size_t>(got) > buffer_.size())
      throw SystemError("recv netlink", EMSGSIZE);
    deadline = std::chrono::steady_clock::now() + kPatience;

    size_t left = static_cast<size_t>(got);
    const uint8_t *at = buffer_.data();
    while (left >= sizeof(nlmsghdr)) {
      nlmsghdr header;
      std::memcpy(&header, at, sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > left)
        throw SystemError("recv netlink", EBADMSG);
      const size_t step = NLMSG_ALIGN(static_cast<size_t>(header.nlmsg_len));
      if (header.nlmsg_seq == sequence_) {
        interrupted |= (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
          int32_t code = 0;
          if (header.nlmsg_len >= sizeof header + sizeof code)
            std::memcpy(&code, at + sizeof header, sizeof code);
          reply.error = code < 0 ? -code : 0;
          return interrupted ? Outcome::kInterrupted : Outcome::kDone;
        }
        if (header.nlmsg_type != NLMSG_NOOP) {
          if (reply.messages.size() + step > kMaxReplyBytes)
            throw SystemError("recv netlink", EMSGSIZE);
          reply.messages.insert(reply.messages.end(), at, at + header.nlmsg_len);
          reply.messages.resize(NLMSG_ALIGN(reply.messages.size()));
        }
      }
      if (step >= left)
        break;
      at += step;
      left -= step;
    }
  }
}

} // namespace shunt
