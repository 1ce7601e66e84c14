#include "bpf_objects.h"

#include "../system_error.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>

namespace shunt {

namespace {

constexpr int kMaxRaces = 8;

/** libbpf 1.x returns -errno from its thin wrappers and sets errno too. */
bool has_shape(int map, const MapSpec &spec) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  if (::bpf_obj_get_info_by_fd(map, &info, &size) < 0)
    return false;
  return info.type == spec.type && info.key_size == spec.key_size &&
         info.value_size == spec.value_size && info.max_entries == spec.max_entries;
}

} // namespace

bool mount_bpf_fs(const std::string &path) {
  struct statfs info {};
  check("statfs", ::statfs(path.c_str(), &info));
  if (info.f_type == BPF_FS_MAGIC)
    return false;
  check("mount bpf",
        ::mount("bpf", path.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"));
  return true;
}

void unmount_bpf_fs(const std::string &path) {
  check("umount", ::umount2(path.c_str(), MNT_DETACH));
}

std::optional<Fd> open_pin(const std::string &path) {
  const int fd = ::bpf_obj_get(path.c_str());
  if (fd < 0 && errno == ENOENT)
    return std::nullopt;
  return Fd(check("bpf_obj_get", fd));
}

Fd open_map(const MapSpec &spec) {
  for (int race = 0; race < kMaxRaces; race++) {
    if (std::optional<Fd> pinned = open_pin(spec.pin)) {
      if (has_shape(pinned->get(), spec))
        return std::move(*pinned);
      if (::unlink(spec.pin.c_str()) < 0 && errno != ENOENT)
        throw SystemError("unlink pin", errno);
    }
    bpf_map_create_opts options{};
    options.sz = sizeof options;
    options.map_flags = spec.flags;
    Fd created(check("bpf_map_create",
                     ::bpf_map_create(static_cast<bpf_map_type>(spec.type), spec.name.c_str(),
                                      spec.key_size, spec.value_size, spec.max_entries, &options)));
    if (::bpf_obj_pin(created.get(), spec.pin.c_str()) == 0)
      return created;
    if (errno != EEXIST)
      throw SystemError("bpf_obj_pin", errno);
  }
  throw SystemError("bpf_obj_pin", EBUSY);
}

void map_update(int map, const void *key, const void *value) {
  check("bpf_map_update_elem", ::bpf_map_update_elem(map, key, value, BPF_ANY));
}

bool map_delete(int map, const void *key) {
  const int result = ::bpf_map_delete_elem(map, key);
  if (result < 0 && errno == ENOENT)
    return false;
  check("bpf_map_delete_elem", result);
  return true;
}

bool map_lookup(int map, const void *key, void *value) {
  const int result = ::bpf_map_lookup_elem(map, key, value);
  if (result < 0 && errno == ENOENT)
    return false;
  check("bpf_map_lookup_elem", result);
  return true;
}

std::vector<uint8_t> map_keys(int map, size_t key_size, size_t max_entries) {
  std::vector<uint8_t> keys;
  std::vector<uint8_t> next(key_size);
  // An entry that is deleted during the walk restarts it at the beginning, so the length is
  // bounded, not the walk.
  for (size_t i = 0; i <= 2 * max_entries; i++) {
    const void *previous = keys.empty() ? nullptr : keys.data() + keys.size() - key_size;
    const int result = ::bpf_map_get_next_key(map, previous, next.data());
    if (result < 0 && errno == ENOENT)
      return keys;
    check("bpf_map_get_next_key", result);
    keys.insert(keys.end(), next.begin(), next.end());
  }
  throw SystemError("bpf_map_get_next_key", EINTR);
}

} // namespace shunt
