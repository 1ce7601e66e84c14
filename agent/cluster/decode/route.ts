// gateway.networking.k8s.io routes with a Service as parent (GAMMA): which Service ports they select.

import { serviceId } from '../../model/ids.ts'
import type { RouteAttachment } from '../../model/route.ts'
import type { Fields } from './fields.ts'
import { PARENT_REF, ROUTE_SPEC } from './known-fields.ts'
import { isDnsLabel, LABEL_RULE } from './names.ts'
import { decodeObject, type Metadata } from './object.ts'
import type { Place } from './place.ts'
import { describe, type Decoding } from './report.ts'

export type RouteKind = RouteAttachment['kind']

/** Parents that are Gateways are another's business and leave no trace here. */
export function decodeRoute(
  kind: RouteKind,
  input: unknown,
  root?: Place,
): Decoding<readonly RouteAttachment[]> {
  const shape = { kind, scope: 'namespaced', naming: 'subdomain', fields: ['spec'] } as const
  return decodeObject(input, root, shape, (object, metadata) => {
    const spec = object.map('spec')
    spec?.only(ROUTE_SPEC)
    const attachments = spec?.maps('parentRefs').flatMap((ref) => attachment(kind, ref, metadata)) ?? []
    if (attachments.length > 0 && !object.report.failed) {
      object.report.warn(
        spec?.at('rules'),
        'the route selects a Service, but its rules are not applied by this version; connections are balanced by the proxy',
        'ROUTE_NOT_APPLIED',
      )
    }
    return attachments
  })
}

function attachment(kind: RouteKind, ref: Fields, metadata: Metadata): RouteAttachment[] {
  ref.only(PARENT_REF)
  // The API defaults both to those of a Gateway; the core group has been spelled in two ways.
  const group = ref.raw('group') === '' ? '' : (ref.text('group') ?? 'gateway.networking.k8s.io')
  if ((ref.text('kind') ?? 'Gateway') !== 'Service' || (group !== '' && group !== 'core')) return []
  if (!ref.has('name')) ref.report.error(ref.at('name'), 'missing: expected the name of a Service')
  const name = label(ref, 'name')
  const namespace = ref.has('namespace') ? label(ref, 'namespace') : metadata.namespace
  const port = ref.integer('port', 1, 65_535)
  if (name === undefined || namespace === undefined) return []
  return [
    {
      kind,
      id: `${metadata.namespace}/${metadata.name}`,
      service: serviceId(namespace, name),
      ...(port === undefined ? {} : { port }),
    },
  ]
}

function label(ref: Fields, key: string): string | undefined {
  const text = ref.text(key)
  if (text === undefined || isDnsLabel(text)) return text
  ref.report.error(ref.at(key), `expected ${LABEL_RULE}, found ${describe(text)}`)
  return undefined
}
