// What all kinds have in common: a map with metadata that names it. A kind's own decoder sees only its body.

import { Fields } from './fields.ts'
import { isDnsLabel, isDnsSubdomain, LABEL_RULE, SUBDOMAIN_RULE } from './names.ts'
import type { Place } from './place.ts'
import { describe, Report, type Decoding } from './report.ts'

/** How objects of a kind are named. */
export interface Naming {
  readonly scope: 'namespaced' | 'cluster'
  /** Names of Services and Namespaces are DNS labels, those of others may contain dots. */
  readonly naming: 'label' | 'subdomain'
}

export interface ObjectShape extends Naming {
  readonly kind: string
  /** Fields of the object itself beside apiVersion, kind, metadata and status. */
  readonly fields: readonly string[]
}

export interface Metadata {
  readonly name: string
  /** Empty for objects of the cluster. */
  readonly namespace: string
  readonly labels: Fields | undefined
  readonly annotations: Fields | undefined
  /** `metadata` itself. */
  readonly fields: Fields
}

/** Decodes one object; `body` runs only if the object can be named. Never throws. */
export function decodeObject<T>(
  input: unknown,
  root: Place | undefined,
  shape: ObjectShape,
  body: (object: Fields, metadata: Metadata) => T | undefined,
): Decoding<T> {
  const report = new Report()
  report.object = titleOf(input, shape)
  const object = Fields.read(input, root, report)
  const metadata = object === undefined ? undefined : readMetadata(object, shape)
  let value: T | undefined
  if (object !== undefined && metadata !== undefined) {
    object.only(new Set([...COMMON_FIELDS, ...shape.fields]))
    value = body(object, metadata)
  }
  return { value: report.failed ? undefined : value, problems: report.problems }
}

const COMMON_FIELDS = ['apiVersion', 'kind', 'metadata', 'status']

/** `namespace/name` or `name`, when the object says so readably; else empty. */
export function identityOf(input: unknown, naming: Naming): string {
  const silent = new Report()
  const metadata = Fields.read(input, undefined, silent)?.map('metadata')
  const name = metadata?.text('name') ?? ''
  const namespace = metadata?.text('namespace') ?? DEFAULT_NAMESPACE
  const named = naming.naming === 'label' ? isDnsLabel(name) : isDnsSubdomain(name)
  if (silent.failed || !named || !isDnsLabel(namespace)) return ''
  return naming.scope === 'cluster' ? name : `${namespace}/${name}`
}

const DEFAULT_NAMESPACE = 'default'

function titleOf(input: unknown, shape: ObjectShape): string {
  const identity = identityOf(input, shape)
  return identity === '' ? '' : `${shape.kind} ${identity}`
}

function readMetadata(object: Fields, shape: ObjectShape): Metadata | undefined {
  const { report } = object
  if (!object.has('metadata')) {
    report.error(object.at('metadata'), `missing: every ${shape.kind} needs metadata.name`)
    return undefined
  }
  const fields = object.map('metadata')
  if (fields === undefined) return undefined
  const name = readName(fields, 'name', shape.naming, `missing: every ${shape.kind} needs a name`)
  const namespace = shape.scope === 'cluster' ? '' : readName(fields, 'namespace', 'label', undefined)
  const labels = readTexts(fields, 'labels')
  const annotations = readTexts(fields, 'annotations')
  return name === undefined || namespace === undefined
    ? undefined
    : { name, namespace, labels, annotations, fields }
}

function readName(
  fields: Fields,
  key: string,
  naming: ObjectShape['naming'],
  missing: string | undefined,
): string | undefined {
  const value = fields.raw(key)
  if (value === undefined) {
    if (missing === undefined) return DEFAULT_NAMESPACE
    fields.report.error(fields.at(key), missing)
    return undefined
  }
  const text = fields.text(key)
  if (text === undefined) return undefined
  if (naming === 'label' ? isDnsLabel(text) : isDnsSubdomain(text)) return text
  const rule = naming === 'label' ? LABEL_RULE : SUBDOMAIN_RULE
  fields.report.error(fields.at(key), `expected ${rule}, found ${describe(text)}`)
  return undefined
}

/** Labels and annotations: every value must be a text, as the API server demands. */
function readTexts(fields: Fields, key: string): Fields | undefined {
  const map = fields.map(key)
  for (const name of map?.names() ?? []) {
    const value = map?.raw(name)
    if (map === undefined || value === undefined || typeof value === 'string') continue
    const hint = typeof value === 'object' ? '' : '; put it in quotes'
    map.report.error(map.at(name), `expected a text, found ${describe(value)}${hint}`)
  }
  return map
}
