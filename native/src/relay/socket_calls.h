// Calls on the sockets of connections. Those that return an int return 0 or an errno.
#pragma once

#include "../net/endpoint.h"
#include "messages.h"

namespace shunt::relay {

/** TCP_NODELAY. What a listening socket has, of this and the next, those that it accepts inherit.
 */
int send_at_once(int fd);

/** From time to time the kernel asks a silent peer whether it is still there. */
int keep_alive(int fd);

/** An urgent byte stays in the stream. It has to be said before one can come: a read that is faster
 * than the news of it loses the byte. Listeners of listen_tcp have it said already. */
int read_urgent_inline(int fd);

/** Non-blocking, sends at once, reads an urgent byte inline; mark 0 sets none. `fd` is -1 after an
 * error. */
int open_outgoing(int family, uint32_t mark, int &fd);

/** SO_ERROR, which reading clears. */
int pending_error(int fd);

/** Bytes that wait to be read. */
uint32_t bytes_waiting(int fd);

/** From now on close sends RST, and drops what was not sent. */
void reset_on_close(int fd);

/** EPOLLIN only when so many bytes wait. */
void set_low_water(int fd, uint32_t bytes);

LegInfo leg_info(int fd);

/** The loop's clock. */
uint64_t monotonic_us();

} // namespace shunt::relay
