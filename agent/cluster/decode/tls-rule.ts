// What a TLSRoute says: host names, and where connections for them go.

import { POLICY_BOUNDS, POLICY_LIMITS } from '../../model/connection-policy-bounds.ts'
import { serviceId } from '../../model/ids.ts'
import { parseIp } from '../../model/ip.ts'
import type { TlsBackend, TlsRule } from '../../model/route.ts'
import type { Fields } from './fields.ts'
import { BACKEND_REF, TLS_RULE } from './known-fields.ts'
import { isDnsSubdomain } from './names.ts'
import { describe } from './report.ts'
import { isServiceRef, label } from './service-ref.ts'

/** `namespace`: the route's, which a backend without one is in. */
export function tlsRule(spec: Fields, namespace: string): TlsRule {
  const rules = spec.maps('rules')
  const [rule] = rules
  if (rule === undefined) {
    if (!spec.report.failed) spec.report.error(spec.at('rules'), 'missing: a TLSRoute needs one rule')
  } else if (rules.length > 1)
    spec.report.error(spec.at('rules'), `expected one rule, found ${rules.length}; a TLSRoute has one`)
  return { hostnames: hostnames(spec), backends: rule === undefined ? [] : backends(rule, namespace) }
}

/** None is every name. */
function hostnames(spec: Fields): string[] {
  const found: string[] = []
  const texts = spec.texts('hostnames')
  if (texts.length > POLICY_LIMITS.hostnames)
    spec.report.error(
      spec.at('hostnames'),
      `expected at most ${POLICY_LIMITS.hostnames} host names, found ${texts.length}`,
    )
  for (const { text, place } of texts) {
    const name = text.startsWith('*.') ? text.slice(2) : text
    if (isDnsSubdomain(name) && parseIp(text) === undefined) found.push(text)
    else
      spec.report.error(
        place,
        `expected a host name in lower case such as api.example.org or *.example.org, found ${describe(text)}`,
      )
  }
  return texts.length === 0 ? [''] : [...new Set(found)]
}

function backends(rule: Fields, namespace: string): TlsBackend[] {
  rule.only(TLS_RULE)
  const refs = rule.maps('backendRefs')
  if (refs.length > POLICY_LIMITS.backends)
    rule.report.error(
      rule.at('backendRefs'),
      `expected at most ${POLICY_LIMITS.backends} backends, found ${refs.length}`,
    )
  return refs.map((ref) => {
    ref.only(BACKEND_REF)
    const { min, max } = POLICY_BOUNDS.backendWeight
    const weight = ref.integer('weight', min, max) ?? 1
    return { target: target(ref, namespace), weight }
  })
}

function target(ref: Fields, namespace: string): TlsBackend['target'] {
  if (!isServiceRef(ref, '', 'Service')) {
    ref.report.warn(
      ref.at('kind'),
      'the backend is not a Service; its share of the connections is refused',
      'REFERENCE_INVALID',
    )
    return undefined
  }
  for (const key of ['name', 'port'])
    if (!ref.has(key)) ref.report.error(ref.at(key), `missing: a backend needs the ${key} of a Service`)
  const name = label(ref, 'name')
  const own = ref.has('namespace') ? label(ref, 'namespace') : namespace
  const port = ref.integer('port', 1, 65_535)
  if (name === undefined || own === undefined || port === undefined) return undefined
  return { service: serviceId(own, name), port }
}
