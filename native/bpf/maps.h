// The maps of the steering program. agent/kernel/steer-maps.ts has the same shapes; a test compares
// the two.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

// A steered frontend. The address is in network order, IPv4 as ::ffff:a.b.c.d, all zero for a
// NodePort (the port on every local address); the port is in network order too. The kernel compares
// the padding, so it has to be zero.
struct steer_key {
  __u8 address[16];
  __be16 port;
  __u16 padding;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct steer_key);
  __type(value, __u8);
} steer_frontends SEC(".maps");

// The proxy's listeners. A closed listener leaves its slot by itself.
enum { STEER_SLOT_IPV4 = 0, STEER_SLOT_IPV6 = 1 };

struct {
  __uint(type, BPF_MAP_TYPE_SOCKMAP);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
} steer_listeners SEC(".maps");

enum { STEER_COUNT_STEERED = 0, STEER_COUNT_NO_LISTENER = 1 };

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
} steer_counters SEC(".maps");

static __always_inline void count(__u32 index) {
  __u64 *value = bpf_map_lookup_elem(&steer_counters, &index);
  if (value)
    (*value)++;
}
