// Gives new TCP connections of steered frontends to the proxy's listener. Runs when the kernel
// looks for a listening socket of a packet that is being delivered to this host; packets of
// established connections never come here.
//
// Frontends that it does not know go on as if it were not there. A steered address without a
// listener is refused: the packet is here only because the proxy died less than a second ago, and
// must not end at an unrelated program of the host that listens on the same port of every address.
// A NodePort without a listener goes on, because the host may well listen there on an address that
// does not serve NodePorts.

#include "maps.h"

#include <bpf/bpf_endian.h>

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6

enum match { NO_MATCH, MATCH_ADDRESS, MATCH_NODE_PORT };

static __always_inline enum match match_frontend(struct steer_key *key) {
  if (bpf_map_lookup_elem(&steer_frontends, key))
    return MATCH_ADDRESS;
  __builtin_memset(key->address, 0, sizeof(key->address));
  return bpf_map_lookup_elem(&steer_frontends, key) ? MATCH_NODE_PORT : NO_MATCH;
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *context) {
  if (context->protocol != IPPROTO_TCP)
    return SK_PASS;

  struct steer_key key = {.port = bpf_htons(context->local_port)};
  __u32 slot;
  if (context->family == AF_INET) {
    __u32 address = context->local_ip4;
    key.address[10] = key.address[11] = 0xff;
    __builtin_memcpy(key.address + 12, &address, sizeof(address));
    slot = STEER_SLOT_IPV4;
  } else if (context->family == AF_INET6) {
    __u32 address[4] = {context->local_ip6[0], context->local_ip6[1], context->local_ip6[2],
                        context->local_ip6[3]};
    __builtin_memcpy(key.address, address, sizeof(address));
    slot = STEER_SLOT_IPV6;
  } else {
    return SK_PASS;
  }
  enum match match = match_frontend(&key);
  if (match == NO_MATCH)
    return SK_PASS;

  struct bpf_sock *listener = bpf_map_lookup_elem(&steer_listeners, &slot);
  if (!listener) {
    count(STEER_COUNT_NO_LISTENER);
    return match == MATCH_ADDRESS ? SK_DROP : SK_PASS;
  }
  // Fails only if another program chose a socket before us; that choice then holds.
  long failed = bpf_sk_assign(context, listener, 0);
  bpf_sk_release(listener);
  if (!failed)
    count(STEER_COUNT_STEERED);
  return SK_PASS;
}

char program_license[] SEC("license") = "Apache-2.0";
