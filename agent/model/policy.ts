// What a TrafficPolicy (shunt.dev/v1alpha1) attaches to a Service, and which one holds for a port when there are several.

import { byAge, selectsPort, type Attachment } from './attachment.ts'
import { cidrContains, type Cidr } from './cidr.ts'
import type { ConnectionPolicy } from './connection-policy.ts'
import type { Endpoint } from './endpoint.ts'
import type { ServicePort } from './service.ts'

/** One of a policy's targetRefs; those of one policy share `connection` and `weights`. */
export interface PolicyAttachment extends Attachment {
  /** Every default is filled in. */
  readonly connection: ConnectionPolicy
  /** The first that matches an endpoint gives its weight; 1 without a match. */
  readonly weights: readonly WeightRule[]
}

export type WeightRule =
  | { readonly kind: 'zone'; readonly zone: string; readonly weight: number }
  | { readonly kind: 'node'; readonly node: string; readonly weight: number }
  | { readonly kind: 'addresses'; readonly cidrs: readonly Cidr[]; readonly weight: number }

/**
 * The policies that select a port, the one that holds first. A policy that names the port beats one for the whole Service
 * whatever its age, and takes its place as a whole: policies are not merged.
 */
export function policiesOf(
  port: ServicePort,
  ports: readonly ServicePort[],
  policies: readonly PolicyAttachment[],
): PolicyAttachment[] {
  return policies
    .filter((policy) => selectsPort(policy, port, ports))
    .sort((a, b) => Number(b.section !== undefined) - Number(a.section !== undefined) || byAge(a, b))
}

export function weightOf(
  rules: readonly WeightRule[],
  { ip, nodeName, zone }: Pick<Endpoint, 'ip' | 'nodeName' | 'zone'>,
): number {
  const rule = rules.find((each) => {
    switch (each.kind) {
      case 'zone':
        return each.zone === zone
      case 'node':
        return each.node === nodeName
      case 'addresses':
        return each.cidrs.some((cidr) => cidrContains(cidr, ip))
    }
  })
  return rule?.weight ?? 1
}
