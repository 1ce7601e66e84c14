#include "bindings.h"

#include "bpf/bpf_objects.h"

namespace shunt {

namespace {

/** bpfMountFs(path) -> mounted */
napi_value mount_fs(const Call &call) { return call.of(mount_bpf_fs(call.text(0))); }

/** bpfUnmountFs(path) */
napi_value unmount_fs(const Call &call) {
  unmount_bpf_fs(call.text(0));
  return call.undefined();
}

/** bpfOpenMap(pin, name, type, keySize, valueSize, maxEntries, flags) -> fd */
napi_value open_pinned_map(const Call &call) {
  Fd fd = open_map({call.text(0), call.text(1), call.natural(2), call.natural(3), call.natural(4),
                    call.natural(5), call.natural(6)});
  napi_value result = call.of(fd.get());
  fd.release();
  return result;
}

/** bpfOpenPin(path) -> fd or undefined */
napi_value open_any_pin(const Call &call) {
  auto fd = open_pin(call.text(0));
  if (!fd)
    return call.undefined();
  napi_value result = call.of(fd->get());
  fd->release();
  return result;
}

/** bpfMapUpdate(map, key, value); the sizes are those of the map. */
napi_value update(const Call &call) {
  map_update(call.integer(0), call.bytes(1).first, call.bytes(2).first);
  return call.undefined();
}

/** bpfMapDelete(map, key) -> was there */
napi_value remove(const Call &call) {
  return call.of(map_delete(call.integer(0), call.bytes(1).first));
}

/** bpfMapLookup(map, key, valueSize) -> value or undefined; for per-CPU maps the size of all CPUs
 * together. */
napi_value lookup(const Call &call) {
  std::vector<uint8_t> value(call.natural(2));
  if (!map_lookup(call.integer(0), call.bytes(1).first, value.data()))
    return call.undefined();
  return call.of(value.data(), value.size());
}

/** bpfMapKeys(map, keySize, maxEntries) -> keys */
napi_value keys(const Call &call) {
  const auto all = map_keys(call.integer(0), call.natural(1), call.natural(2));
  return call.of(all.data(), all.size());
}

/** bpfAttachSkLookup(object, linkPin, [name, fd, name, fd, ...]) -> created */
napi_value attach(const Call &call) {
  std::vector<std::pair<std::string, int>> maps;
  uint32_t length = 0;
  check_napi(napi_get_array_length(call.env(), call.value(2), &length), "maps");
  // Name and descriptor alternate.
  for (uint32_t i = 0; i + 1 < length; i += 2) {
    napi_value name = nullptr;
    napi_value fd = nullptr;
    char text[64];
    int32_t number = -1;
    check_napi(napi_get_element(call.env(), call.value(2), i, &name), "maps");
    check_napi(napi_get_element(call.env(), call.value(2), i + 1, &fd), "maps");
    check_napi(napi_get_value_string_utf8(call.env(), name, text, sizeof text, nullptr), "maps");
    check_napi(napi_get_value_int32(call.env(), fd, &number), "maps");
    maps.emplace_back(text, number);
  }
  return call.of(attach_sk_lookup(call.text(0), call.text(1), maps));
}

/** bpfTryLoad(object) */
napi_value try_to_load(const Call &call) {
  try_load(call.text(0));
  return call.undefined();
}

/** bpfLinkedNamespace(linkPin) -> { netnsInode, programId } or undefined */
napi_value linked(const Call &call) {
  const auto attached = linked_namespace(call.text(0));
  if (!attached)
    return call.undefined();
  return call.object({{"netnsInode", call.of(attached->netns_inode)},
                      {"programId", call.of(attached->program_id)}});
}

constexpr Export kExports[] = {
    {"bpfMountFs", guarded<mount_fs>},        {"bpfUnmountFs", guarded<unmount_fs>},
    {"bpfOpenMap", guarded<open_pinned_map>}, {"bpfOpenPin", guarded<open_any_pin>},
    {"bpfMapUpdate", guarded<update>},        {"bpfMapDelete", guarded<remove>},
    {"bpfMapLookup", guarded<lookup>},        {"bpfMapKeys", guarded<keys>},
    {"bpfAttachSkLookup", guarded<attach>},   {"bpfTryLoad", guarded<try_to_load>},
    {"bpfLinkedNamespace", guarded<linked>},
};

} // namespace

std::span<const Export> bpf_exports() { return kExports; }

} // namespace shunt
