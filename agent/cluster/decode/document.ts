// A document of a manifest file: which kind it is, lists taken apart, each object given to its decoder. Never throws.

import type { Problem } from '../../model/errors.ts'
import { objectKey, type ClusterObject } from '../object.ts'
import { isMap } from './fields.ts'
import { apiVersionOf, kindReader, type KindReader } from './kinds.ts'
import { identityOf } from './object.ts'
import type { Place } from './place.ts'
import { describe, Report } from './report.ts'

export interface DecodedObject {
  /** `Service default/web`; undefined when the object cannot be named, or is of no kind that we read. */
  readonly key: string | undefined
  /** False when an error makes the object unusable. */
  readonly good: boolean
  /** Undefined when bad, and for objects that are read but have no effect. */
  readonly object: ClusterObject | undefined
  readonly problems: readonly Problem[]
}

type PlainMap = Readonly<Record<string, unknown>>

/** An empty document is no object. `root` is where the value stands in its document. */
export function decodeDocument(value: unknown, root?: Place): DecodedObject[] {
  if (value === undefined || value === null) return []
  if (!isMap(value)) {
    return [refused(root, `expected an object with apiVersion and kind, found ${describe(value)}`)]
  }
  const apiVersion = ownField(value, 'apiVersion')
  const kind = ownField(value, 'kind')
  if (typeof kind === 'string' && kind.endsWith('List') && Object.hasOwn(value, 'items')) {
    return decodeList(value, kind, root)
  }
  if (!isWord(apiVersion)) return [refused({ parent: root, step: 'apiVersion' }, notAWord(apiVersion))]
  if (!isWord(kind)) return [refused({ parent: root, step: 'kind' }, notAWord(kind))]
  return [decodeKind(value, apiVersion, kind, root)]
}

/** Items of a typed list (`ServiceList`), as the API returns them, do not repeat their kind. */
function decodeList(list: PlainMap, kind: string, root: Place | undefined): DecodedObject[] {
  const { items, apiVersion } = list
  const at: Place = { parent: root, step: 'items' }
  if (items === null) return []
  if (!Array.isArray(items)) return [refused(at, `expected a list, found ${describe(items)}`)]
  const itemKind = kind.slice(0, -'List'.length)
  return items.flatMap((item: unknown, step) => {
    const typed = itemKind !== '' && isMap(item) && !Object.hasOwn(item, 'kind')
    // A list of lists is nothing that Kubernetes writes, and would let one document recurse.
    if (isMap(item) && Array.isArray(item['items'])) {
      return [refused({ parent: at, step }, 'expected an object, found a list inside a list')]
    }
    return decodeDocument(typed ? { apiVersion, kind: itemKind, ...item } : item, { parent: at, step })
  })
}

function decodeKind(
  value: PlainMap,
  apiVersion: string,
  kind: string,
  root: Place | undefined,
): DecodedObject {
  const slash = apiVersion.lastIndexOf('/')
  const group = slash === -1 ? '' : apiVersion.slice(0, slash)
  const reader = kindReader(group, kind)
  if (reader === undefined) return unknownKind(apiVersion, kind, root)
  if (reader.versions.includes(apiVersion.slice(slash + 1))) return readAs(reader, value, kind, root)
  const expected = reader.versions.map((version) => (group === '' ? version : `${group}/${version}`))
  return unread(
    { parent: root, step: 'apiVersion' },
    `${describe(kind)} of ${describe(apiVersion)} is not read by Shunt, expected ${expected.join(', ')}; the object is ignored`,
    false,
  )
}

function readAs(reader: KindReader, input: PlainMap, kind: string, root: Place | undefined): DecodedObject {
  const id = identityOf(input, reader)
  const { value, problems } = reader.read(input, root)
  const good = !problems.some((problem) => problem.severity === 'error')
  // The reader of a kind returns that kind's value, which is what the table of kinds says line by line.
  const object = value === undefined ? undefined : ({ kind, id, value } as ClusterObject)
  return { key: id === '' ? undefined : objectKey(kind, id), good, object, problems }
}

function unknownKind(apiVersion: string, kind: string, root: Place | undefined): DecodedObject {
  const expected = apiVersionOf(kind)
  const hint = expected === undefined ? '' : `; expected apiVersion ${expected}`
  return unread(
    { parent: root, step: expected === undefined ? 'kind' : 'apiVersion' },
    `${describe(kind)} of ${describe(apiVersion)} is not read by Shunt${hint}; the object is ignored`,
    // Of a kind that we know it may be one of ours with a misspelled apiVersion: its last good version stays.
    expected === undefined,
  )
}

function unread(place: Place, message: string, good: boolean): DecodedObject {
  const report = new Report()
  report.warn(place, message, 'OBJECT_UNKNOWN')
  return { key: undefined, good, object: undefined, problems: report.problems }
}

function refused(place: Place | undefined, message: string): DecodedObject {
  const report = new Report()
  report.error(place, message)
  return { key: undefined, good: false, object: undefined, problems: report.problems }
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function notAWord(value: unknown): string {
  if (value === undefined || value === null || value === '') return 'missing: every object needs it'
  return `expected a text, found ${describe(value)}`
}

function ownField(value: PlainMap, key: string): unknown {
  return Object.hasOwn(value, key) ? value[key] : undefined
}
