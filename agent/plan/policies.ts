// The TrafficPolicy that holds for a Service port.

import { policiesOf, type PolicyAttachment, type WeightRule } from '../model/policy.ts'
import type { Service, ServicePort } from '../model/service.ts'
import type { PortPolicy } from './plan.ts'

export interface ChosenPolicy {
  readonly policy: PortPolicy
  readonly weights: readonly WeightRule[]
}

/** undefined: none selects the port, or the port is none that the proxy can carry. */
export function policyOf(
  service: Service,
  port: ServicePort,
  policies: readonly PolicyAttachment[],
): ChosenPolicy | undefined {
  if (port.protocol !== 'TCP') return undefined
  const [first] = policiesOf(port, service.ports, policies)
  return first && { policy: { id: first.id, connection: first.connection }, weights: first.weights }
}
