// What the plan needs to know of the Node that it runs on.

import type { Cidr } from './cidr.ts'
import type { Ip } from './ip.ts'

export interface Node {
  readonly name: string
  /** InternalIP first, then ExternalIP, as kubelet reports them; the first of a family is primary (row 17). */
  readonly addresses: readonly Ip[]
  /** Label `topology.kubernetes.io/zone`; '' for missing or empty (row 45). */
  readonly zone: string
  readonly podCidrs: readonly Cidr[]
  readonly taints: readonly string[]
  readonly deleting: boolean
}
