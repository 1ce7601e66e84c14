// Unix sockets that carry descriptors from one process to another (SCM_RIGHTS). Nothing here waits:
// a caller that has to asks again.
#pragma once

#include "../fd.h"

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace shunt {

/** The kernel takes 253 with one message (SCM_MAX_FD). */
constexpr size_t kMaxPassedFds = 250;

/** Listening stream socket, non-blocking, close-on-exec; the file has its mode from the start. */
Fd listen_unix(const std::string &path, mode_t mode, int backlog);

/** Connected, non-blocking. EAGAIN: the queue of the listener is full. */
Fd connect_unix(const std::string &path);

/** Who connected; of a connection to a listener, who called listen on it last. */
ucred peer_credentials(int socket);

/**
 * One message, whole or not at all: an exception if the socket has no room. The descriptors stay
 * the caller's; the other side gets copies.
 */
void send_with_fds(int socket, std::span<const uint8_t> message, std::span<const int> fds);

struct Received {
  /** Empty: the other side has closed. */
  std::vector<uint8_t> message;
  std::vector<Fd> fds;
};

/**
 * What waits, up to the end of the message that carries descriptors; nothing if nothing waits.
 * Descriptors are close-on-exec. If some did not fit into this process, those that did are closed
 * and EMFILE is thrown.
 */
std::optional<Received> receive_with_fds(int socket, size_t max_bytes);

} // namespace shunt
