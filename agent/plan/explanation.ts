// What explain() answers: the fate of a packet, and the steps that led there.

import type { ServicePortKey } from '../model/ids.ts'
import type { ClientKind, Frontend, PlanEndpoint } from './plan.ts'

export interface Explanation {
  readonly steps: readonly ExplanationStep[]
  readonly outcome: Outcome
  /** undefined: no frontend has this destination. */
  readonly match: FrontendMatch | undefined
}

export interface FrontendMatch {
  readonly service: ServicePortKey
  readonly frontend: Frontend
  readonly client: ClientKind
}

/** One line of `shunt trace`: a short label and a sentence. */
export interface ExplanationStep {
  readonly label: string
  readonly text: string
}

export type Outcome =
  | {
      readonly kind: 'forward'
      /** Each with equal probability by the kernel; the proxy has its policy. Never empty. */
      readonly endpoints: readonly OutcomeEndpoint[]
      /** While the proxy's heartbeat lasts it takes the connection; the endpoints are then its candidates. */
      readonly steered: boolean
      /** While the proxy is down a steered connection is refused instead of balanced by the kernel. */
      readonly failClosed: boolean
      readonly affinitySeconds: number | undefined
    }
  | { readonly kind: 'reject' }
  | { readonly kind: 'drop'; readonly because: string }
  /** Untouched by Service rules. */
  | { readonly kind: 'pass'; readonly because: string }

export interface OutcomeEndpoint {
  readonly endpoint: PlanEndpoint
  /** The endpoint sees an address of the node instead of the client's. */
  readonly masquerade: boolean
}
