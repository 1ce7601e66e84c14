// Names and numbers that steering shares between the agent, the proxy, the kernel and the tests.
//
// How a steered connection travels (nothing here depends on how many frontends are steered):
//
//   first packet ── mangle SHUNT-STEER: is destination,port in a member of the set list SHUNT-LIVE? ── no ─▶ kube-proxy's rules
//                        │ yes: connection mark and packet mark := STEERED (later packets get it from the connection mark)
//                        ▼
//   sk_lookup:  ip rule "mark STEERED → table 5390", whose only route is "local default dev lo"; KUBE-SERVICES (nat)
//               returns at once for the mark; the sk_lookup program hands the connection to the proxy's listener
//   dnat:       KUBE-SERVICES (nat) sends the mark to the node's address and the proxy's port
//
// Each element of SHUNT-LIVE has a kernel timeout of one second, which the proxy itself refreshes.

/**
 * The only bits that steering reads or writes. Bits 14 and 15 lie between them and stay out: kube-proxy masquerades
 * what has bit 14, and the KUBE-FIREWALL chain of older kubelets drops what has bit 15.
 */
export const STEER_MARK_MASK = 0xff3000
/** Socket mark of the proxy's own upstream connections; never steered. */
export const UPSTREAM_MARK = 0x531000
/** Packet and connection mark of a steered connection. */
export const STEERED_MARK = 0x532000
/**
 * Packet mark (never connection mark) of a steered connection that a process of the node opened: set in OUTPUT. Route
 * lookups can then tell such a packet from the reverse lookup that validates the source of a forwarded one.
 */
export const STEERED_NODE_MARK = 0x533000
/** With this mask STEERED_MARK matches both of the above, and UPSTREAM_MARK does not. */
export const STEERED_MATCH_MASK = 0xff2000

/** list:set with timeouts: the dead man's switch. Its members are the three sets below. */
export const LIVE_SET = 'SHUNT-LIVE'
/** hash:ip,port, IPv4 addresses of steered frontends. */
export const STEER_SET_V4 = 'SHUNT-STEER-4'
/** hash:ip,port family inet6. */
export const STEER_SET_V6 = 'SHUNT-STEER-6'
/** The same kind of list for NodePorts, matched only for packets to local addresses. */
export const LIVE_NODEPORT_SET = 'SHUNT-LIVE-NP'
/** bitmap:port, NodePorts of steered frontends. */
export const STEER_NODEPORT_SET = 'SHUNT-STEER-NP'

/** Routing table and rule priority for steered packets (sk_lookup). */
export const STEER_TABLE = 5390
export const STEER_RULE_PRIORITY = 5390

/** Kernel timeout of a heartbeat, and how often the proxy refreshes it. */
export const HEARTBEAT_TIMEOUT_S = 1
export const HEARTBEAT_INTERVAL_MS = 250

/** The frontend of the self-test: link-local addresses that only the node itself can reach. */
export const SELFTEST_IPV4 = '169.254.53.90'
export const SELFTEST_IPV6 = 'fd53:4855:4e54::1'
export const SELFTEST_PORT = 15009

/** The proxy's listener for steered connections, both families. */
export const PROXY_PORT = 15001
/** The proxy's own unprivileged user and group. */
export const PROXY_UID = 15001
