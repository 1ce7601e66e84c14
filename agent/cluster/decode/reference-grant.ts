// gateway.networking.k8s.io ReferenceGrant: which routes of other namespaces may refer to the Services of its own. What it
// allows to other kinds than TLSRoutes and Services is nothing to us.

import { serviceId } from '../../model/ids.ts'
import type { ReferenceGrant } from '../../model/route.ts'
import type { Fields } from './fields.ts'
import { GRANT_FROM, GRANT_TO, REFERENCE_GRANT_SPEC } from './known-fields.ts'
import { decodeObject, type ObjectShape } from './object.ts'
import type { Place } from './place.ts'
import type { Decoding } from './report.ts'
import { isServiceRef, label } from './service-ref.ts'

const SHAPE: ObjectShape = {
  kind: 'ReferenceGrant',
  scope: 'namespaced',
  naming: 'subdomain',
  fields: ['spec'],
}

export function decodeReferenceGrant(input: unknown, root?: Place): Decoding<readonly ReferenceGrant[]> {
  return decodeObject(input, root, SHAPE, (object, { namespace }) => {
    const spec = object.map('spec')
    spec?.only(REFERENCE_GRANT_SPEC)
    const froms = spec?.maps('from').flatMap(tlsRoutesFrom) ?? []
    const tos = spec?.maps('to').flatMap(servicesTo) ?? []
    return froms.flatMap((from) =>
      tos.map(({ name }) => ({
        namespace,
        from,
        ...(name === undefined ? {} : { service: serviceId(namespace, name) }),
      })),
    )
  })
}

function tlsRoutesFrom(entry: Fields): string[] {
  entry.only(GRANT_FROM)
  if (entry.text('group') !== 'gateway.networking.k8s.io' || entry.text('kind') !== 'TLSRoute') return []
  if (!entry.has('namespace')) {
    entry.report.error(entry.at('namespace'), 'missing: expected the namespace of the routes')
    return []
  }
  const namespace = label(entry, 'namespace')
  return namespace === undefined ? [] : [namespace]
}

function servicesTo(entry: Fields): { readonly name: string | undefined }[] {
  entry.only(GRANT_TO)
  return isServiceRef(entry, '', '') ? [{ name: label(entry, 'name') }] : []
}
