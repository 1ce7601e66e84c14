// The form of the parity rows: a Service, an address of it, and what each of the four kinds of clients meets there.
//
// An answer is `L` and `R` for the endpoint here and the one on the other node, with `masq` if they see the node's
// address; or reject, drop, pass.

import test from 'ava'
import { explain } from '#agent/plan/explain.ts'
import type { Outcome } from '#agent/plan/explanation.ts'
import type { PlanOptions } from '#agent/plan/plan.ts'
import {
  aPacket,
  aService,
  aSlice,
  aWorld,
  planOf,
  type EndpointText,
  type PacketText,
  type ServiceText,
  type SnapshotParts,
} from './build.ts'

export const CLIENTS = {
  pod: '10.244.1.99',
  otherPod: '10.244.2.99',
  node: '192.168.0.10',
  outside: '203.0.113.200',
} as const

/** In the order of CLIENTS. */
export type Answers = readonly [pod: string, otherPod: string, node: string, outside: string]

export interface ParityRow {
  readonly rows: string
  readonly it: string
  readonly service?: ServiceText
  /** Default: one here, one on the other node, both ready. */
  readonly endpoints?: readonly (EndpointText | string)[]
  readonly options?: Partial<PlanOptions>
  readonly to: string
  readonly packet?: Partial<PacketText>
  /** Further local addresses. */
  readonly world?: readonly string[]
  readonly want: Answers
}

export const HERE: EndpointText = { ip: '10.244.1.5' }
export const THERE: EndpointText = { ip: '10.244.2.5', nodeName: 'n2' }
export const LEAVING = { ready: false, terminating: true }

export const EVERYWHERE: ServiceText = {
  type: 'LoadBalancer',
  ports: [{ nodePort: 30080 }],
  externalIps: ['203.0.113.1'],
  loadBalancer: ['198.51.100.1'],
}
export const LOCAL: ServiceText = { ...EVERYWHERE, externalTrafficPolicy: 'Local' }
export const RANGED: ServiceText = { ...EVERYWHERE, sourceRanges: ['10.244.1.0/24', '192.168.0.0/24'] }

export const CLUSTER_IP = '10.96.0.10'
export const EXTERNAL_IP = '203.0.113.1'
export const LB_IP = '198.51.100.1'
export const NODE = '192.168.0.10'
export const AT_NODE_PORT = { port: 30080 }
export const NO_DETECTOR: Partial<PlanOptions> = { localDetector: { kind: 'none' } }
export const NFTABLES: Partial<PlanOptions> = { semantics: 'nftables' }

export const same = (answer: string): Answers => [answer, answer, answer, answer]

/** One test for each row. */
export function testParity(rows: readonly ParityRow[]): void {
  for (const row of rows) {
    test(`row ${row.rows}: ${row.it}`, (t) => {
      const given: SnapshotParts = {
        services: [aService(row.service)],
        slices: [aSlice({ endpoints: row.endpoints ?? [HERE, THERE] })],
      }
      const plan = planOf(given, row.options)
      const answers = Object.values(CLIENTS).map((from) =>
        answerOf(
          explain(plan, aPacket({ from, to: row.to, ...row.packet }), aWorld(...(row.world ?? []))).outcome,
        ),
      )
      t.deepEqual(answers, [...row.want])
    })
  }
}

/** An outcome in the form of {@link Answers}. */
export function answerOf(outcome: Outcome): string {
  if (outcome.kind !== 'forward') return outcome.kind
  const names = outcome.endpoints.map(({ endpoint, masquerade }) => ({
    name: endpoint.local ? 'L' : 'R',
    masquerade,
  }))
  const [first] = names
  if (names.every(({ masquerade }) => masquerade === first?.masquerade))
    return `${names.map(({ name }) => name).join(' ')}${first?.masquerade === true ? ' masq' : ''}`
  return names.map(({ name, masquerade }) => `${name}${masquerade ? ' masq' : ''}`).join(', ')
}
