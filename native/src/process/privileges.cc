#include "privileges.h"

#include "../system_error.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

namespace shunt {

namespace {

void set_capabilities(uint32_t mask) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  data[0].effective = data[0].permitted = mask;
  check("capset", static_cast<int>(::syscall(SYS_capset, &header, data)));
}

struct ThreadState {
  unsigned long uids[4]{};
  unsigned long gids[4]{};
  unsigned long long permitted = ~0ULL;
};

ThreadState read_thread(const char *tid) {
  ThreadState state;
  const std::string path = std::string("/proc/self/task/") + tid + "/status";
  const std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file)
    throw SystemError("open /proc/self/task", errno);
  char line[512];
  while (std::fgets(line, sizeof line, file.get())) {
    auto *u = state.uids;
    auto *g = state.gids;
    std::sscanf(line, "Uid: %lu %lu %lu %lu", &u[0], &u[1], &u[2], &u[3]);
    std::sscanf(line, "Gid: %lu %lu %lu %lu", &g[0], &g[1], &g[2], &g[3]);
    std::sscanf(line, "CapPrm: %llx", &state.permitted);
  }
  return state;
}

void verify(uid_t uid, gid_t gid, uint32_t capabilities) {
  const std::unique_ptr<DIR, int (*)(DIR *)> tasks(::opendir("/proc/self/task"), ::closedir);
  if (!tasks)
    throw SystemError("opendir /proc/self/task", errno);
  while (const dirent *entry = ::readdir(tasks.get())) {
    if (entry->d_name[0] == '.')
      continue;
    ThreadState state;
    try {
      state = read_thread(entry->d_name);
    } catch (const SystemError &failure) {
      if (failure.code() == ENOENT || failure.code() == ESRCH)
        continue; // the thread ended meanwhile
      throw;
    }
    for (int i = 0; i < 4; i++)
      if (state.uids[i] != uid || state.gids[i] != gid)
        throw SystemError("drop privileges", EPERM, "a thread kept its user or group");
    if ((state.permitted & ~static_cast<unsigned long long>(capabilities)) != 0)
      throw SystemError("drop privileges", EPERM, "a thread kept other capabilities");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  check("capget", static_cast<int>(::syscall(SYS_capget, &header, data)));
  if (data[0].effective != capabilities || data[1].effective != 0)
    throw SystemError("drop privileges", EPERM,
                      "the capabilities are not those that were asked for");
  if (uid != 0 && ::setresuid(0, 0, 0) == 0)
    throw SystemError("drop privileges", EPERM, "root could be regained");
}

} // namespace

void drop_privileges(uid_t uid, gid_t gid, uint32_t capabilities) {
  // The C library applies the three changes of identity to every thread; the rest is the calling
  // thread's own.
  check("prctl PR_SET_KEEPCAPS", ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
  check("setgroups", ::setgroups(0, nullptr));
  check("setresgid", ::setresgid(gid, gid, gid));
  check("setresuid", ::setresuid(uid, uid, uid));
  set_capabilities(capabilities);
  check("prctl PR_SET_KEEPCAPS", ::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0));
  check("prctl PR_SET_NO_NEW_PRIVS", ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  verify(uid, gid, capabilities);
}

} // namespace shunt
