// Gives up root for good.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace shunt {

/**
 * Becomes uid and gid with exactly the capabilities of the mask (bit n: capability n, below 32),
 * sets no_new_privs, and verifies all of it. User and group change for every thread of the process;
 * the capabilities stay with the calling thread and with threads that it starts later, all others
 * lose theirs.
 */
void drop_privileges(uid_t uid, gid_t gid, uint32_t capabilities);

} // namespace shunt
