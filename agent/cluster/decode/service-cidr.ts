// networking.k8s.io/v1 ServiceCIDR: the ranges that ClusterIPs are allocated from (row 30).

import type { Cidr } from '../../model/cidr.ts'
import { requiredCidrs } from './addresses.ts'
import { SERVICE_CIDR_SPEC } from './known-fields.ts'
import { decodeObject, type ObjectShape } from './object.ts'
import type { Place } from './place.ts'
import type { Decoding } from './report.ts'

const SHAPE: ObjectShape = { kind: 'ServiceCIDR', scope: 'cluster', naming: 'subdomain', fields: ['spec'] }

export function decodeServiceCidr(input: unknown, root?: Place): Decoding<readonly Cidr[]> {
  return decodeObject(input, root, SHAPE, (object) => {
    const spec = object.map('spec')
    spec?.only(SERVICE_CIDR_SPEC)
    const cidrs = spec === undefined ? [] : requiredCidrs(spec, 'cidrs')
    if (cidrs.length === 0 && !object.report.failed) {
      object.report.error({ parent: object.at('spec'), step: 'cidrs' }, 'missing: expected one or two ranges')
    }
    return cidrs
  })
}
