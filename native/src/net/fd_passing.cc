#include "fd_passing.h"

#include "../system_error.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace shunt {

namespace {

struct UnixAddress {
  sockaddr_un address{};
  socklen_t size = 0;

  /** A path, or an abstract name behind a zero byte. */
  explicit UnixAddress(const std::string &path) {
    if (path.empty() || path.size() >= sizeof address.sun_path)
      throw SystemError("bind", ENAMETOOLONG, path);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const size_t terminator = path.front() == '\0' ? 0 : 1;
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + terminator);
  }
  const sockaddr *get() const { return reinterpret_cast<const sockaddr *>(&address); }
};

Fd unix_socket() {
  return Fd(check("socket", ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
}

/** Aligned as the headers of control messages have to be. */
union Control {
  cmsghdr header;
  char bytes[CMSG_SPACE(kMaxPassedFds * sizeof(int))];
};

/** Owns them before anything can throw. */
std::vector<Fd> take_fds(msghdr &message) {
  std::vector<Fd> fds;
  fds.reserve(kMaxPassedFds);
  for (cmsghdr *header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
      continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

} // namespace

Fd listen_unix(const std::string &path, mode_t mode, int backlog) {
  const UnixAddress address(path);
  Fd fd = unix_socket();
  // Before bind: the file is made with the mode of the socket, so that it is never open to others.
  check("fchmod", ::fchmod(fd.get(), mode));
  check("bind", ::bind(fd.get(), address.get(), address.size));
  check("listen", ::listen(fd.get(), backlog));
  return fd;
}

Fd connect_unix(const std::string &path) {
  const UnixAddress address(path);
  Fd fd = unix_socket();
  check("connect", ::connect(fd.get(), address.get(), address.size));
  return fd;
}

ucred peer_credentials(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  check("getsockopt SO_PEERCRED", ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size));
  return peer;
}

void send_with_fds(int socket, std::span<const uint8_t> message, std::span<const int> fds) {
  // Without a byte to travel with, a stream socket drops the descriptors in silence.
  if (message.empty() || fds.size() > kMaxPassedFds)
    throw SystemError("sendmsg", EINVAL);
  iovec part{const_cast<uint8_t *>(message.data()), message.size()};
  Control control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  const ssize_t sent = ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  check("sendmsg", static_cast<int>(sent));
  if (static_cast<size_t>(sent) != message.size())
    throw SystemError("sendmsg", EMSGSIZE);
}

std::optional<Received> receive_with_fds(int socket, size_t max_bytes) {
  Received received;
  received.message.resize(max_bytes);
  iovec part{received.message.data(), received.message.size()};
  Control control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = sizeof control.bytes;
  const ssize_t size = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0 && (errno == EAGAIN || errno == EINTR))
    return std::nullopt;
  // It closed with something of ours unread.
  if (size < 0 && errno == ECONNRESET)
    return Received{};
  check("recvmsg", static_cast<int>(size));
  received.fds = take_fds(header);
  received.message.resize(static_cast<size_t>(size));
  if (header.msg_flags & MSG_CTRUNC)
    throw SystemError("recvmsg", EMFILE, "some of the descriptors did not fit");
  return received;
}

} // namespace shunt
