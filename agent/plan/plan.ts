// The Plan: every decision about Service semantics on this node, made once. Datapaths render it, the proxy's view is
// derived from it, explain() walks it. Nothing downstream looks at a Service again.
//
//   Plan ── families ── ports (one per Service port) ── frontends (addresses that clients dial)
//                             └── pools: cluster, local (endpoints that a frontend may use)
//
// All lists are sorted and all maps are in key order, so equal content renders equal. A ServicePortPlan that did not
// change from one Plan to the next is the same object: renderers cache by identity.

import type { Cidr } from '../model/cidr.ts'
import type { ConnectionPolicy } from '../model/connection-policy.ts'
import type { ServicePortKey } from '../model/ids.ts'
import type { Family, Ip } from '../model/ip.ts'
import type { Port, Protocol } from '../model/port.ts'
import type { SteerMode, TrafficPolicy, WhenProxyDown } from '../model/service.ts'

export interface Plan {
  /** The Snapshot's. */
  readonly generation: number
  readonly options: PlanOptions
  /** Only the families that the node has. */
  readonly families: Readonly<Partial<Record<Family, FamilyPlan>>>
}

/** Chosen by configuration and probing; a change of any of them rebuilds the Plan. */
export interface PlanOptions {
  readonly nodeName: string
  readonly families: readonly Family[]
  /** Where kube-proxy's modes differ, whose column holds (DESIGN §5): rows 17, 25, 27, 29, 30, 56. */
  readonly semantics: 'iptables' | 'nftables'
  readonly masqueradeAll: boolean
  readonly localDetector: LocalDetectorOption
  readonly nodePortAddresses: NodePortAddressesOption
  /** Row 19; only with iptables semantics and IPv4. */
  readonly localhostNodePorts: boolean
  /** Row 22. */
  readonly allowExternalIps: boolean
  readonly steer: SteerMode
  readonly steering: SteeringPlan
}

/** detectLocalMode (rows 64, 65). `nodeCidr` takes the Node's podCIDRs. */
export type LocalDetectorOption =
  | { readonly kind: 'none' }
  | { readonly kind: 'clusterCidr'; readonly cidrs: readonly Cidr[] }
  | { readonly kind: 'nodeCidr' }
  | { readonly kind: 'bridgeInterface'; readonly name: string }
  | { readonly kind: 'interfaceNamePrefix'; readonly prefix: string }

/** Rows 16, 17. `default`: what the semantics' column says. */
export type NodePortAddressesOption =
  | { readonly kind: 'default' }
  | { readonly kind: 'primary' }
  | { readonly kind: 'cidrs'; readonly cidrs: readonly Cidr[] }

/** How steered connections reach the proxy; chosen by probe and proven by the self-test. */
export interface SteeringPlan {
  readonly mechanism: 'off' | 'sk_lookup' | 'dnat'
  readonly proxyPort: Port
}

export interface FamilyPlan {
  readonly family: Family
  readonly localDetector: LocalDetector
  readonly nodePortAddresses: NodePortAddresses
  /** The node's addresses of this family that the API knows, primary first. */
  readonly nodeAddresses: readonly Ip[]
  readonly serviceCidrs: readonly Cidr[]
  /** In key order. */
  readonly ports: ReadonlyMap<ServicePortKey, ServicePortPlan>
  /** Addresses that several Service ports claim, in order of the address; only the winner has the frontend. */
  readonly conflicts: readonly FrontendConflict[]
}

/** A ClusterIP beats every other kind of address; among the others the first key in order has it. */
export interface FrontendConflict {
  /** undefined: a NodePort. */
  readonly ip: Ip | undefined
  readonly port: Port
  readonly protocol: Protocol
  readonly winner: ServicePortKey
  /** In key order. */
  readonly losers: readonly ServicePortKey[]
}

/** How the kernel tells a Pod's packet (row 64), resolved for one family. */
export type LocalDetector =
  | { readonly kind: 'none' }
  | { readonly kind: 'cidr'; readonly cidr: Cidr }
  | { readonly kind: 'interface'; readonly name: string }
  | { readonly kind: 'interfacePrefix'; readonly prefix: string }

/** Which of the node's own addresses NodePorts answer on, resolved for one family. */
export type NodePortAddresses =
  /** Every local address; `loopback` false leaves out 127.0.0.0/8 and ::1. */
  | { readonly kind: 'allLocal'; readonly loopback: boolean }
  /** Local addresses inside these ranges. A primary address is its host range. */
  | { readonly kind: 'within'; readonly cidrs: readonly Cidr[]; readonly loopback: boolean }

/** One port of one Service in one family. */
export interface ServicePortPlan {
  readonly key: ServicePortKey
  readonly family: Family
  readonly namespace: string
  readonly service: string
  /** '' for the unnamed port. */
  readonly portName: string
  readonly protocol: Protocol
  readonly appProtocol: string
  /** Clients' addresses, ClusterIP first, then external IPs, load balancer IPs, NodePort; each kind in address order. */
  readonly frontends: readonly Frontend[]
  /**
   * Rows 32, 41, 42: what Cluster traffic uses. Both pools are filled whatever the policies say; the verdicts name the
   * pool that is in use. Sorted by `ip:port` as text.
   */
  readonly cluster: readonly PlanEndpoint[]
  /** Rows 33, 43: what Local traffic uses. Sorted likewise. */
  readonly local: readonly PlanEndpoint[]
  /** True if some endpoint anywhere is usable, here or elsewhere: tells drop from reject (rows 54, 55). */
  readonly hasEndpoints: boolean
  /** Affinity timeout; undefined: none. */
  readonly affinitySeconds: number | undefined
  readonly internalTrafficPolicy: TrafficPolicy
  /** Already resolved for Services on which it is not honoured (row 40). */
  readonly externalTrafficPolicy: TrafficPolicy
  /** Row 72: 0 unless LoadBalancer with external policy Local. */
  readonly healthCheckNodePort: Port
  readonly steering: Steering
  /** The TrafficPolicy that holds in the proxy; undefined: none, DEFAULT_CONNECTION_POLICY does. */
  readonly policy: PortPolicy | undefined
  /** Where the proxy sends TLS connections by server name, in the order to try; empty: to the pools above. */
  readonly tlsRoutes: readonly PlanTlsRoute[]
}

export interface PortPolicy {
  /** `namespace/name` of the TrafficPolicy. */
  readonly id: string
  readonly connection: ConnectionPolicy
}

export interface PlanTlsRoute {
  /** Lower case; `*.` in front for any one or more labels; '' for every name and for none. */
  readonly hostname: string
  /** `namespace/name` of the TLSRoute. */
  readonly route: string
  readonly backends: readonly PlanTlsBackend[]
}

export interface PlanTlsBackend {
  /** `namespace/name:port`, as the route says it. */
  readonly name: string
  readonly weight: number
  /** null: the reference is not valid, and its share of the connections is refused. */
  readonly service: ServicePortKey | null
  readonly pool: 'cluster' | 'local'
  /** Why it is not valid. */
  readonly because?: string
}

export interface PlanEndpoint {
  readonly ip: Ip
  readonly port: Port
  /** On this node. */
  readonly local: boolean
  /** `terminating`: used only because no ready endpoint is left. */
  readonly state: 'ready' | 'terminating'
  readonly nodeName: string
  readonly zone: string
  /** In the proxy, by the TrafficPolicy; undefined: 1. The kernel knows no weights. */
  readonly weight?: number
}

export type FrontendKind = 'ClusterIP' | 'ExternalIP' | 'LoadBalancerIP' | 'NodePort'

export interface Frontend {
  readonly kind: FrontendKind
  /** undefined for NodePort: the node's own addresses, by FamilyPlan.nodePortAddresses. */
  readonly ip: Ip | undefined
  readonly port: Port
  /** What happens to a new connection, by who opened it. */
  readonly verdicts: Verdicts
  /** Load balancer source ranges (rows 24 to 27); undefined: anybody. */
  readonly sources: SourceFilter | undefined
  /** The proxy takes new connections of this frontend while its heartbeat lasts. */
  readonly steered: boolean
  /**
   * The Service must not be reached around the proxy (`shunt.dev/when-proxy-down: reject`): what the proxy does not take
   * is refused, also where it is not steered because steering is impossible here. Stronger than the verdicts' forward.
   */
  readonly proxyOnly: boolean
}

/**
 * The three kinds of clients that kube-proxy's rules tell apart, tried in this order: `pod` is matched by the local
 * detector, `host` has one of the node's own addresses as source, `outside` is everybody else. Without a detector
 * nobody is a `pod`.
 */
export interface Verdicts {
  readonly pod: Verdict
  readonly host: Verdict
  readonly outside: Verdict
}

export type ClientKind = keyof Verdicts

export type Verdict =
  /** To a uniformly random endpoint of the pool. A Pod that reaches itself is masqueraded anyway (row 59). */
  | { readonly kind: 'forward'; readonly pool: 'cluster' | 'local'; readonly masquerade: boolean }
  /** ICMP port unreachable (row 54). */
  | { readonly kind: 'reject' }
  /** Silence (row 55). */
  | { readonly kind: 'drop' }
  /** Left alone: the packet travels on as if there were no Service (row 56, iptables column). */
  | { readonly kind: 'pass' }

export interface SourceFilter {
  readonly cidrs: readonly Cidr[]
  /** Row 25: sources equal to one of these load balancer IPs pass too, because the node itself is in the ranges. */
  readonly selfIps: readonly Ip[]
}

export type Steering =
  | { readonly kind: 'none'; readonly because: string }
  | {
      readonly kind: 'steered'
      readonly because: SteeringReason
      readonly whenProxyDown: WhenProxyDown
    }

/** What asks for the proxy. */
export type SteeringReason = 'annotation' | 'route' | 'policy' | 'option'
