// The vocabulary of the conformance table. A scenario is one Service with its endpoints, and what clients at each
// place see when they dial each of its addresses. Nothing here knows a datapath.

import type { LabFamily, LabProtocol, ServiceShape } from './objects.ts'

/** Names of places in the routed topology, by what they are to node1. */
export const POD_HERE = 'p13'
export const POD_ELSEWHERE = 'p22'
export const NODE = 'node1'
export const OTHER_NODE = 'node2'
export const OUTSIDE = 'client'

export interface Scenario {
  readonly name: string
  /** Rows of the parity table that it proves. */
  readonly rows: readonly number[]
  readonly service: ServiceShape
  readonly flows: readonly Flow[]
}

export interface Flow {
  readonly from: string
  readonly to: Destination
  /** Port of the Service, 80 if not given; ignored for NodePorts. */
  readonly port?: number
  /** All of these; both if not given. */
  readonly families?: readonly LabFamily[]
  /** All of these; both if not given. */
  readonly protocols?: readonly LabProtocol[]
  /** The client's other address instead of its first. */
  readonly otherSource?: boolean
  readonly expect: Expectation
  /**
   * What the same flow shows while the proxy takes connections. Not given: a TCP flow that is answered by endpoints
   * has the node as its source, everything else is as without.
   */
  readonly whenSteered?: Expectation | 'same'
  /** How many connections; enough to see every endpoint if not given. */
  readonly count?: number
}

export type Destination =
  | { readonly kind: 'clusterIp' }
  | { readonly kind: 'externalIp' }
  | { readonly kind: 'loadBalancerIp' }
  /** On a node's LAN address. */
  | { readonly kind: 'nodePort'; readonly node: string; readonly offset?: number }
  /** On 127.0.0.1 or ::1 of the client itself. */
  | { readonly kind: 'localhostNodePort' }

/** Whose address the endpoint sees. */
export type SourceSeen =
  /** The client's own. */
  | 'client'
  /** One of the addresses of the node whose rules took the packet. */
  | 'node1'
  | 'node2'

export type Expectation =
  | {
      readonly kind: 'answered'
      /** Exactly these, each at least once. */
      readonly by: readonly string[]
      readonly source: SourceSeen
      /** A pod that got itself: always the node (row 59). Needed only where a client is among the endpoints. */
      readonly ofItself?: SourceSeen
    }
  /** One and the same of these for every connection. */
  | { readonly kind: 'sticky'; readonly oneOf: readonly string[]; readonly source: SourceSeen }
  /** Each within so many percentage points of an equal share. */
  | {
      readonly kind: 'shares'
      readonly by: readonly string[]
      readonly withinPoints: number
      readonly source: SourceSeen
    }
  | { readonly kind: 'refused' }
  | { readonly kind: 'silent' }
  /** It leaves the node as if there were no Service, and reaches the host beyond with the client's own address. */
  | { readonly kind: 'untouched' }

export const clusterIp: Destination = { kind: 'clusterIp' }
export const externalIp: Destination = { kind: 'externalIp' }
export const loadBalancerIp: Destination = { kind: 'loadBalancerIp' }
export const localhostNodePort: Destination = { kind: 'localhostNodePort' }
export const nodePort: Destination = { kind: 'nodePort', node: NODE }
export const nodePortElsewhere: Destination = { kind: 'nodePort', node: OTHER_NODE }

export function answered(by: readonly string[], source: SourceSeen, ofItself?: SourceSeen): Expectation {
  return { kind: 'answered', by, source, ...(ofItself === undefined ? {} : { ofItself }) }
}

export const refused: Expectation = { kind: 'refused' }
export const silent: Expectation = { kind: 'silent' }
export const untouched: Expectation = { kind: 'untouched' }

/** The flow as a sentence. */
export function sentence(scenario: Scenario, flow: Flow, family: LabFamily, protocol: LabProtocol): string {
  const port = flow.port === undefined ? '' : ` port ${flow.port}`
  const source = flow.otherSource === true ? ' (other address)' : ''
  return `${scenario.name}: ${flow.from}${source} dials ${destinationText(flow.to)}${port} over ${family} ${protocol}`
}

/** An expectation as the end of that sentence. */
export function expectationText(expect: Expectation): string {
  switch (expect.kind) {
    case 'answered': {
      const itself = expect.ofItself === undefined ? '' : `, of itself ${expect.ofItself}`
      return `answered by ${expect.by.join(' and ')}, who see ${expect.source}${itself}`
    }
    case 'sticky':
      return `answered by always the same of ${expect.oneOf.join(', ')}, who sees ${expect.source}`
    case 'shares':
      return `answered by ${expect.by.join(' and ')} within ${expect.withinPoints} points of equal shares, who see ${expect.source}`
    case 'refused':
    case 'silent':
    case 'untouched':
      return expect.kind
  }
}

function destinationText(to: Destination): string {
  switch (to.kind) {
    case 'clusterIp':
      return 'the ClusterIP'
    case 'externalIp':
      return 'the external IP'
    case 'loadBalancerIp':
      return 'the load balancer IP'
    case 'nodePort':
      return `the NodePort of ${to.node}`
    case 'localhostNodePort':
      return 'the NodePort on the loopback address'
  }
}
