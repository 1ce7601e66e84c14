// Datapaths by name, and the choice among them. `auto` takes the first that the node can use and keeps why the others
// were passed over; a datapath that was named is used or it is an error, never replaced (kube-proxy row 98).

import { ShuntError } from '../model/errors.ts'
import type { PlanOptions } from '../plan/plan.ts'
import type { Capability, Datapath, DatapathName } from './datapath.ts'

export interface DatapathEntry {
  readonly name: DatapathName
  /** Whose column of kube-proxy's differences holds (DESIGN section 5). */
  readonly semantics: PlanOptions['semantics']
  /** undefined: this version does not have it. */
  readonly create: (() => Promise<Datapath>) | undefined
}

/** `auto` tries in this order. */
export function registry(create: {
  readonly [Name in DatapathName]?: () => Promise<Datapath>
}): readonly DatapathEntry[] {
  return [
    { name: 'nftables', semantics: 'nftables', create: create.nftables },
    { name: 'iptables', semantics: 'iptables', create: create.iptables },
    { name: 'ipvs', semantics: 'iptables', create: create.ipvs },
    { name: 'ebpf', semantics: 'nftables', create: create.ebpf },
  ]
}

export interface ChosenDatapath {
  readonly datapath: Datapath
  readonly semantics: PlanOptions['semantics']
  readonly capability: Extract<Capability, { kind: 'usable' }>
  readonly passedOver: readonly { readonly name: DatapathName; readonly because: string }[]
}

/** Throws DATAPATH_UNUSABLE with every reason. */
export async function chooseDatapath(
  entries: readonly DatapathEntry[],
  wanted: DatapathName | 'auto',
): Promise<ChosenDatapath> {
  const passedOver: { name: DatapathName; because: string }[] = []
  const hints: string[] = []
  for (const entry of entries) {
    if (wanted !== 'auto' && wanted !== entry.name) continue
    const datapath = await entry.create?.()
    const capability: Capability =
      datapath === undefined
        ? { kind: 'unusable', because: 'not part of this version', hint: 'choose iptables' }
        : await datapath.probe()
    if (datapath !== undefined && capability.kind === 'usable')
      return { datapath, semantics: entry.semantics, capability, passedOver }
    if (capability.kind === 'unusable') {
      passedOver.push({ name: entry.name, because: capability.because })
      hints.push(capability.hint)
    }
  }
  const reasons = passedOver.map(({ name, because }) => `${name}: ${because}`).join('; ')
  const [hint] = hints
  const options = wanted === 'auto' || hint === undefined ? {} : { hint }
  throw new ShuntError('DATAPATH_UNUSABLE', `no datapath can be used (${reasons})`, options)
}
