// BPF maps, programs and links that live in pins, so that they outlive processes and are shared
// between them.
#pragma once

#include "../fd.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace shunt {

struct MapSpec {
  std::string pin;
  std::string name;
  uint32_t type = 0;
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t flags = 0;
};

struct LinkedNamespace {
  uint32_t netns_inode = 0;
  uint32_t program_id = 0;
};

/** Mounts a bpffs unless the folder is one. True if it mounted. */
bool mount_bpf_fs(const std::string &path);
void unmount_bpf_fs(const std::string &path);

/** Opens the pin, or creates and pins; whoever pins first wins. A pin of another shape is replaced.
 */
Fd open_map(const MapSpec &spec);
/** Empty if there is no such pin. */
std::optional<Fd> open_pin(const std::string &path);

/** One entry; sizes are the caller's business. */
void map_update(int map, const void *key, const void *value);
/** False if the key was not there. */
bool map_delete(int map, const void *key);
bool map_lookup(int map, const void *key, void *value);
/** All keys, one after the other. */
std::vector<uint8_t> map_keys(int map, size_t key_size, size_t max_entries);

/**
 * Loads the object's one program with the given maps in place of its own, and attaches it to the
 * network namespace of the calling thread through a pinned link. True if the link is new, false if
 * an existing one got the program.
 */
bool attach_sk_lookup(const std::string &object, const std::string &link_pin,
                      const std::vector<std::pair<std::string, int>> &maps);

/** Loads the object with maps of its own and forgets it: throws if this kernel or process cannot.
 */
void try_load(const std::string &object);

/** Empty if nothing is pinned there, or not a link to a network namespace. */
std::optional<LinkedNamespace> linked_namespace(const std::string &link_pin);

} // namespace shunt
