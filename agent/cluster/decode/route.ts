// gateway.networking.k8s.io routes with a Service as parent (GAMMA): which Service ports they select. Of a TLSRoute the
// rules too (tls-rule.ts).

import { serviceId } from '../../model/ids.ts'
import type { RouteAttachment, RouteKind, TlsRule } from '../../model/route.ts'
import { createdAtMs } from './created-at.ts'
import type { Fields } from './fields.ts'
import { PARENT_REF, ROUTE_SPEC } from './known-fields.ts'
import { decodeObject, type Metadata } from './object.ts'
import type { Place } from './place.ts'
import type { Decoding } from './report.ts'
import { isServiceRef, label } from './service-ref.ts'
import { tlsRule } from './tls-rule.ts'

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
    if (attachments.length === 0 || spec === undefined) return attachments
    return kind === 'TLSRoute' ? withTls(attachments, spec, metadata) : notApplied(attachments, spec)
  })
}

function notApplied(attachments: readonly RouteAttachment[], spec: Fields): readonly RouteAttachment[] {
  if (!spec.report.failed) {
    spec.report.warn(
      spec.at('rules'),
      'the route selects a Service, but its rules are not applied by this version; connections are balanced by the proxy',
      'ROUTE_NOT_APPLIED',
    )
  }
  return attachments
}

/**
 * A route of another namespace than the Service's is for the clients of its own namespace (a consumer route), which the
 * proxy cannot tell from others: it must not turn everybody's connections away.
 */
function withTls(
  attachments: readonly RouteAttachment[],
  spec: Fields,
  metadata: Metadata,
): RouteAttachment[] {
  const tls: TlsRule = tlsRule(spec, metadata.namespace)
  return attachments.map((each, i) => {
    if (each.service.startsWith(`${metadata.namespace}/`)) return { ...each, tls }
    if (!spec.report.failed) {
      spec.report.warn(
        { parent: spec.at('parentRefs'), step: i },
        `the rules are not applied to ${each.service}, which is of another namespace: they would hold for the clients of ${metadata.namespace} alone, and these cannot be told`,
        'ROUTE_NOT_APPLIED',
      )
    }
    return each
  })
}

function attachment(kind: RouteKind, ref: Fields, metadata: Metadata): RouteAttachment[] {
  ref.only(PARENT_REF)
  if (!isServiceRef(ref, 'gateway.networking.k8s.io', 'Gateway')) return []
  if (!ref.has('name')) ref.report.error(ref.at('name'), 'missing: expected the name of a Service')
  const name = label(ref, 'name')
  const namespace = ref.has('namespace') ? label(ref, 'namespace') : metadata.namespace
  const port = ref.integer('port', 1, 65_535)
  const section = ref.has('sectionName') ? label(ref, 'sectionName') : undefined
  const created = createdAtMs(metadata.fields)
  if (name === undefined || namespace === undefined) return []
  return [
    {
      kind,
      id: `${metadata.namespace}/${metadata.name}`,
      service: serviceId(namespace, name),
      ...(port === undefined ? {} : { port }),
      ...(section === undefined ? {} : { section }),
      ...(created === undefined ? {} : { createdAtMs: created }),
    },
  ]
}
