// A document of a manifest file: which kind it is, lists taken apart, each object given to its decoder. Never throws.

import type { Problem } from '../../model/errors.ts'
import { objectKey, type ClusterObject } from '../object.ts'
import { decodeEndpointSlice } from './endpoint-slice.ts'
import { decodeEndpoints } from './endpoints.ts'
import { isMap } from './fields.ts'
import { decodeNode } from './node.ts'
import { decodeObject, identityOf, type ObjectShape } from './object.ts'
import type { Place } from './place.ts'
import { describe, Report, type Decoding } from './report.ts'
import { decodeRoute, type RouteKind } from './route.ts'
import { decodeServiceCidr } from './service-cidr.ts'
import { decodeService } from './service.ts'

export interface DecodedObject {
  /** `Service default/web`; undefined when the object cannot be named, or is of no kind that we read. */
  readonly key: string | undefined
  /** False when an error makes the object unusable. */
  readonly good: boolean
  /** Where it stands in its document; undefined for the document itself. */
  readonly root: Place | undefined
  /** Undefined when bad, and for objects that are read but have no effect. */
  readonly object: ClusterObject | undefined
  readonly problems: readonly Problem[]
}

/** An empty document is no object. */
export function decodeDocument(value: unknown, root?: Place): DecodedObject[] {
  if (value === undefined || value === null) return []
  if (!isMap(value))
    return [refused(root, `expected an object with apiVersion and kind, found ${describe(value)}`)]
  const { apiVersion, kind } = value
  if (typeof kind === 'string' && kind.endsWith('List') && Object.hasOwn(value, 'items')) {
    return decodeList(value, kind, root)
  }
  for (const [field, text] of [
    ['apiVersion', apiVersion],
    ['kind', kind],
  ] as const) {
    if (typeof text === 'string' && text !== '') continue
    const found =
      text === undefined || text === null
        ? 'missing: every object needs it'
        : `expected a text, found ${describe(text)}`
    return [refused({ parent: root, step: field }, found)]
  }
  const name = `${groupOf(String(apiVersion))}/${String(kind)}`
  const reader = Object.hasOwn(READERS, name) ? READERS[name] : undefined
  if (reader === undefined) return [unknownKind(String(apiVersion), String(kind), root)]
  if (!reader.versions.includes(versionOf(String(apiVersion)))) {
    return [unknownVersion(String(apiVersion), String(kind), reader, root)]
  }
  return [readAs(reader, value, String(kind), root)]
}

/** Items of a typed list (`ServiceList`), as the API returns them, do not repeat their kind. */
function decodeList(
  list: Readonly<Record<string, unknown>>,
  kind: string,
  root: Place | undefined,
): DecodedObject[] {
  const { items, apiVersion } = list
  const at: Place = { parent: root, step: 'items' }
  if (items === null) return []
  if (!Array.isArray(items)) return [refused(at, `expected a list, found ${describe(items)}`)]
  const itemKind = kind.slice(0, -'List'.length)
  return items.flatMap((item: unknown, step) => {
    const typed = itemKind !== '' && isMap(item) && !Object.hasOwn(item, 'kind')
    return decodeDocument(typed ? { apiVersion, kind: itemKind, ...item } : item, { parent: at, step })
  })
}

interface Reader {
  readonly versions: readonly string[]
  readonly scope: ObjectShape['scope']
  readonly read: (input: unknown, kind: string, root: Place | undefined) => Decoding<unknown>
}

const GATEWAY_VERSIONS = ['v1', 'v1beta1', 'v1alpha3', 'v1alpha2']

const ROUTE: Reader = {
  versions: GATEWAY_VERSIONS,
  scope: 'namespaced',
  read: (input, kind, root) => decodeRoute(kind as RouteKind, input, root),
}

const READERS: Readonly<Record<string, Reader>> = {
  '/Service': { versions: ['v1'], scope: 'namespaced', read: (input, _, root) => decodeService(input, root) },
  '/Endpoints': {
    versions: ['v1'],
    scope: 'namespaced',
    read: (input, _, root) => decodeEndpoints(input, root),
  },
  '/Node': { versions: ['v1'], scope: 'cluster', read: (input, _, root) => decodeNode(input, root) },
  '/Namespace': { versions: ['v1'], scope: 'cluster', read: acceptAs('Namespace', 'cluster', 'label') },
  'discovery.k8s.io/EndpointSlice': {
    versions: ['v1'],
    scope: 'namespaced',
    read: (input, _, root) => decodeEndpointSlice(input, root),
  },
  'networking.k8s.io/ServiceCIDR': {
    versions: ['v1', 'v1beta1'],
    scope: 'cluster',
    read: (input, _, root) => decodeServiceCidr(input, root),
  },
  'gateway.networking.k8s.io/HTTPRoute': ROUTE,
  'gateway.networking.k8s.io/GRPCRoute': ROUTE,
  'gateway.networking.k8s.io/TCPRoute': ROUTE,
  'gateway.networking.k8s.io/TLSRoute': ROUTE,
  'gateway.networking.k8s.io/ReferenceGrant': {
    versions: GATEWAY_VERSIONS,
    scope: 'namespaced',
    read: acceptAs('ReferenceGrant', 'namespaced', 'subdomain'),
  },
}

/** Kinds that belong to a folder of Services but say nothing to the data plane yet: only their name is read. */
function acceptAs(kind: string, scope: ObjectShape['scope'], naming: ObjectShape['naming']): Reader['read'] {
  const shape: ObjectShape = { kind, scope, naming, fields: ['spec'] }
  return (input, _, root) => decodeObject(input, root, shape, () => undefined)
}

function readAs(reader: Reader, input: unknown, kind: string, root: Place | undefined): DecodedObject {
  const id = identityOf(input, reader.scope)
  const { value, problems } = reader.read(input, kind, root)
  const good = !problems.some((problem) => problem.severity === 'error')
  // The reader of a kind returns that kind's value, which is what the table above says line by line.
  const object = value === undefined ? undefined : ({ kind, id, value } as ClusterObject)
  return { key: id === '' ? undefined : objectKey(kind, id), good, root, object, problems }
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.lastIndexOf('/')) : ''
}

function versionOf(apiVersion: string): string {
  return apiVersion.slice(apiVersion.lastIndexOf('/') + 1)
}

function refused(place: Place | undefined, message: string): DecodedObject {
  const report = new Report()
  report.error(place, message)
  return { key: undefined, good: false, root: place, object: undefined, problems: report.problems }
}

function unknownKind(apiVersion: string, kind: string, root: Place | undefined): DecodedObject {
  const report = new Report()
  const sameKind = Object.keys(READERS).find((name) => name.slice(name.lastIndexOf('/') + 1) === kind)
  const group = sameKind?.slice(0, sameKind.lastIndexOf('/'))
  const version = sameKind === undefined ? '' : (READERS[sameKind]?.versions[0] ?? '')
  const hint =
    group === undefined ? '' : `; expected apiVersion ${group === '' ? version : `${group}/${version}`}`
  report.warn(
    { parent: root, step: group === undefined ? 'kind' : 'apiVersion' },
    `${describe(kind)} of ${describe(apiVersion)} is not read by Shunt${hint}; the object is ignored`,
    'OBJECT_UNKNOWN',
  )
  // Of a kind that we know it may be one of ours with a misspelled apiVersion: its last good version stays.
  return { key: undefined, good: group === undefined, root, object: undefined, problems: report.problems }
}

function unknownVersion(
  apiVersion: string,
  kind: string,
  reader: Reader,
  root: Place | undefined,
): DecodedObject {
  const report = new Report()
  const known = reader.versions.join(', ')
  report.warn(
    { parent: root, step: 'apiVersion' },
    `version ${describe(versionOf(apiVersion))} of ${kind} is not read by Shunt, expected ${known}; the object is ignored`,
    'OBJECT_UNKNOWN',
  )
  return { key: undefined, good: false, root, object: undefined, problems: report.problems }
}
