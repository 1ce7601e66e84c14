// v1 Node: what the plan needs of the machine that it runs on.

import { parseCidr, type Cidr } from '../../model/cidr.ts'
import { parseIp, type Ip } from '../../model/ip.ts'
import type { Node } from '../../model/node.ts'
import { RANGE_RULE, requiredCidrs } from './addresses.ts'
import type { Fields } from './fields.ts'
import { NODE_SPEC, TAINT } from './known-fields.ts'
import { decodeObject, type ObjectShape } from './object.ts'
import type { Place } from './place.ts'
import { describe, type Decoding } from './report.ts'

const SHAPE: ObjectShape = { kind: 'Node', scope: 'cluster', naming: 'subdomain', fields: ['spec'] }

/** kubelet's order of preference (row 17); host names and DNS names are no addresses. */
const ADDRESS_TYPES = ['InternalIP', 'ExternalIP'] as const

export function decodeNode(input: unknown, root?: Place): Decoding<Node> {
  return decodeObject(input, root, SHAPE, (object, metadata) => {
    const spec = object.map('spec')
    spec?.only(NODE_SPEC)
    const zone = metadata.labels?.raw('topology.kubernetes.io/zone')
    return {
      name: metadata.name,
      addresses: nodeAddresses(object),
      zone: typeof zone === 'string' ? zone : '',
      podCidrs: spec === undefined ? [] : podCidrs(spec),
      taints: spec === undefined ? [] : taintKeys(spec),
      deleting: metadata.fields.has('deletionTimestamp'),
    }
  })
}

function nodeAddresses(object: Fields): Ip[] {
  const entries = object.map('status')?.maps('addresses') ?? []
  const ips: Ip[] = []
  for (const type of ADDRESS_TYPES) {
    for (const entry of entries) {
      if (entry.raw('type') !== type) continue
      const text = entry.text('address') ?? ''
      const ip = parseIp(text)
      if (ip !== undefined) ips.push(ip)
      else {
        entry.report.warn(
          entry.at('address'),
          `expected an IP address, found ${describe(text)}; the entry is skipped`,
        )
      }
    }
  }
  return [...new Set(ips)]
}

/** `podCIDRs`, whose first entry is `podCIDR`; one of the two is enough. */
function podCidrs(spec: Fields): Cidr[] {
  const many = requiredCidrs(spec, 'podCIDRs')
  const one = spec.text('podCIDR') ?? ''
  if (one === '') return many
  const cidr = parseCidr(one)
  if (cidr === undefined) {
    spec.report.error(spec.at('podCIDR'), `expected ${RANGE_RULE}, found ${describe(one)}`)
    return many
  }
  return many.length > 0 ? many : [cidr]
}

function taintKeys(spec: Fields): string[] {
  return spec.maps('taints').flatMap((taint) => {
    taint.only(TAINT)
    if (!taint.has('key')) taint.report.error(taint.at('key'), 'missing: a taint needs a key')
    return taint.text('key') ?? []
  })
}
