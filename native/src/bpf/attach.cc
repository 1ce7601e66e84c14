#include "bpf_objects.h"

#include "../system_error.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/stat.h>

#include <cstdarg>
#include <cstdio>
#include <memory>

namespace shunt {

namespace {

constexpr int kMaxRaces = 8;
constexpr size_t kMaxLogBytes = 16 * 1024;

// What libbpf said during the current load, for the error's text.
thread_local std::string library_log;

int keep_log(enum libbpf_print_level level, const char *format, va_list arguments) {
  if (level != LIBBPF_WARN || library_log.size() > kMaxLogBytes)
    return 0;
  char line[1024];
  const int length = std::vsnprintf(line, sizeof line, format, arguments);
  library_log += line;
  return length;
}

struct CloseObject {
  void operator()(bpf_object *object) const { ::bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

Object load(const std::string &path, const std::vector<std::pair<std::string, int>> &maps) {
  library_log.clear();
  ::libbpf_set_print(keep_log);
  Object object(::bpf_object__open_file(path.c_str(), nullptr));
  if (!object)
    throw SystemError("open BPF object", errno, path);
  for (const auto &[name, fd] : maps) {
    bpf_map *map = ::bpf_object__find_map_by_name(object.get(), name.c_str());
    if (!map)
      throw SystemError("load BPF object", ENOENT, "no map " + name);
    if (::bpf_map__reuse_fd(map, fd) < 0)
      throw SystemError("load BPF object", errno, "map " + name + ": " + library_log);
  }
  if (::bpf_object__load(object.get()) < 0)
    throw SystemError("load BPF object", errno, library_log);
  return object;
}

/** What a link is attached to; empty if it is not a link to a namespace, or its namespace is gone.
 */
std::optional<LinkedNamespace> namespace_of(int link) {
  bpf_link_info info{};
  uint32_t size = sizeof info;
  if (::bpf_obj_get_info_by_fd(link, &info, &size) < 0 || info.type != BPF_LINK_TYPE_NETNS ||
      info.netns.netns_ino == 0)
    return std::nullopt;
  return LinkedNamespace{info.netns.netns_ino, info.prog_id};
}

} // namespace

std::optional<LinkedNamespace> linked_namespace(const std::string &link_pin) {
  const std::optional<Fd> link = open_pin(link_pin);
  return link ? namespace_of(link->get()) : std::nullopt;
}

void try_load(const std::string &object) { load(object, {}); }

bool attach_sk_lookup(const std::string &object_path, const std::string &link_pin,
                      const std::vector<std::pair<std::string, int>> &maps) {
  const Fd netns(check("open netns", ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)));
  struct stat own {};
  check("stat netns", ::fstat(netns.get(), &own));

  const Object object = load(object_path, maps);
  const bpf_program *program = ::bpf_object__next_program(object.get(), nullptr);
  if (!program)
    throw SystemError("load BPF object", ENOENT, "no program in " + object_path);
  const int program_fd = ::bpf_program__fd(program);

  for (int race = 0; race < kMaxRaces; race++) {
    if (const std::optional<Fd> link = open_pin(link_pin)) {
      const auto attached = namespace_of(link->get());
      if (attached && attached->netns_inode == own.st_ino) {
        check("bpf_link_update", ::bpf_link_update(link->get(), program_fd, nullptr));
        return false;
      }
      if (::unlink(link_pin.c_str()) < 0 && errno != ENOENT)
        throw SystemError("unlink pin", errno);
    }
    const Fd created(check("bpf_link_create",
                           ::bpf_link_create(program_fd, netns.get(), BPF_SK_LOOKUP, nullptr)));
    if (::bpf_obj_pin(created.get(), link_pin.c_str()) == 0)
      return true;
    // Another process was faster; its link gets our program.
    if (errno != EEXIST)
      throw SystemError("bpf_obj_pin", errno);
  }
  throw SystemError("bpf_obj_pin", EBUSY);
}

} // namespace shunt
