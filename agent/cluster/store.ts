// What is known of the cluster, keyed by object, and the Snapshots made of it. Every source feeds the same store. An object
// equal to its former value keeps its identity, and so does every list and map that holds only such objects, which is
// how the plan finds what it can keep.

import type { Attachment } from '../model/attachment.ts'
import type { EndpointSlice } from '../model/endpoint.ts'
import type { ServiceId } from '../model/ids.ts'
import type { PolicyAttachment } from '../model/policy.ts'
import type { ReferenceGrant, RouteAttachment } from '../model/route.ts'
import type { Service } from '../model/service.ts'
import type { Snapshot } from '../plan/snapshot.ts'
import { equal } from './equal.ts'
import { objectKey, type ClusterKind, type ClusterObject } from './object.ts'
import { SharedMap } from './shared-map.ts'

export interface StoreOptions {
  /** The Node that goes into the Snapshot; the others are known but change nothing. */
  readonly nodeName: string
  /** Parts of the cluster that must be complete before {@link Store.synced} (row 85). */
  readonly awaits: readonly string[]
}

/** Keys by the Service that they concern. */
interface Touched {
  readonly slices: Set<ServiceId>
  readonly routes: Set<ServiceId>
  readonly policies: Set<ServiceId>
  grants: boolean
  other: boolean
}

export class Store {
  readonly #nodeName: string
  readonly #awaited: Set<string>
  readonly #objects = new Map<string, ClusterObject>()
  readonly #services = new SharedMap<ServiceId, Service>()
  readonly #slices = new SharedMap<ServiceId, readonly EndpointSlice[]>()
  readonly #routes = new SharedMap<ServiceId, readonly RouteAttachment[]>()
  readonly #policies = new SharedMap<ServiceId, readonly PolicyAttachment[]>()
  readonly #ownSlices = new Map<ServiceId, Map<string, EndpointSlice>>()
  readonly #ownRoutes = new Map<ServiceId, Map<string, readonly RouteAttachment[]>>()
  readonly #ownPolicies = new Map<ServiceId, Map<string, readonly PolicyAttachment[]>>()
  readonly #grantObjects = new Map<string, readonly ReferenceGrant[]>()
  #grants: readonly ReferenceGrant[] = []
  readonly #cidrObjects = new Map<string, ClusterObject & { kind: 'ServiceCIDR' }>()
  readonly #listeners = new Set<() => void>()
  #pending: Map<string, ClusterObject | undefined> | undefined
  #generation = 0
  #snapshot: Snapshot | undefined

  constructor(options: StoreOptions) {
    this.#nodeName = options.nodeName
    this.#awaited = new Set(options.awaits)
  }

  put(object: ClusterObject): void {
    this.batch(() => this.#pending?.set(objectKey(object.kind, object.id), object))
  }

  delete(kind: ClusterKind, id: string): void {
    this.batch(() => this.#pending?.set(objectKey(kind, id), undefined))
  }

  /** Makes all puts and deletes of the call one change: one generation, one notice, none if nothing differs at its end. */
  batch(call: () => void): void {
    if (this.#pending !== undefined) return call()
    const pending = new Map<string, ClusterObject | undefined>()
    this.#pending = pending
    try {
      call()
    } finally {
      this.#pending = undefined
    }
    if (this.#commit(pending)) this.#notify()
  }

  /** Makes the store hold exactly these objects, by `Kind namespace/name`, as one change. */
  replaceAll(objects: ReadonlyMap<string, ClusterObject>): void {
    this.batch(() => {
      for (const key of this.#objects.keys()) if (!objects.has(key)) this.#pending?.set(key, undefined)
      // Mostly the very same values come again, and cost no comparison.
      for (const [key, object] of objects) {
        if (this.#objects.get(key) !== object) this.#pending?.set(key, object)
      }
    })
  }

  markSynced(part: string): void {
    if (this.#awaited.delete(part) && this.#awaited.size === 0) this.#notify()
  }

  synced(): boolean {
    return this.#awaited.size === 0
  }

  snapshot(): Snapshot {
    this.#snapshot ??= this.#build()
    return this.#snapshot
  }

  /** Called after each change of the content and once when the store becomes synced; returns how to end it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }

  #commit(pending: ReadonlyMap<string, ClusterObject | undefined>): boolean {
    const touched: Touched = {
      slices: new Set(),
      routes: new Set(),
      policies: new Set(),
      grants: false,
      other: false,
    }
    for (const [key, next] of pending) {
      const before = this.#objects.get(key)
      if (
        before === next ||
        (before !== undefined && next !== undefined && equal(before.value, next.value))
      ) {
        continue
      }
      if (before !== undefined) this.#index(before, false, touched)
      if (next === undefined) this.#objects.delete(key)
      else {
        this.#objects.set(key, next)
        this.#index(next, true, touched)
      }
    }
    let changed = touched.other
    for (const service of touched.slices) changed = this.#mergeSlices(service) || changed
    for (const service of touched.routes)
      changed = mergeAttached(this.#ownRoutes, this.#routes, service) || changed
    for (const service of touched.policies)
      changed = mergeAttached(this.#ownPolicies, this.#policies, service) || changed
    if (touched.grants) changed = this.#mergeGrants() || changed
    if (!changed) return false
    this.#generation++
    this.#snapshot = undefined
    return true
  }

  /** Enters the object into the indexes, or takes it out. */
  #index(object: ClusterObject, present: boolean, touched: Touched): void {
    switch (object.kind) {
      case 'Service':
        this.#services.put(object.value.id, present ? object.value : undefined)
        touched.other = true
        break
      case 'EndpointSlice':
        enter(this.#ownSlices, object.value.service, object.id, present ? object.value : undefined)
        touched.slices.add(object.value.service)
        break
      case 'Endpoints':
        touched.slices.add(object.id as ServiceId)
        break
      case 'Node':
        touched.other ||= object.id === this.#nodeName
        break
      case 'ServiceCIDR':
        if (present) this.#cidrObjects.set(object.id, object)
        else this.#cidrObjects.delete(object.id)
        touched.other = true
        break
      case 'TrafficPolicy':
        attach(this.#ownPolicies, object.value, object.id, present, touched.policies)
        break
      case 'ReferenceGrant':
        if (present) this.#grantObjects.set(object.id, object.value)
        else this.#grantObjects.delete(object.id)
        touched.grants = true
        break
      case 'HTTPRoute':
      case 'GRPCRoute':
      case 'TCPRoute':
      case 'TLSRoute':
        attach(this.#ownRoutes, object.value, objectKey(object.kind, object.id), present, touched.routes)
        break
    }
  }

  /** A Service's own slices, or those mirrored from its Endpoints while it has none. */
  #mergeSlices(service: ServiceId): boolean {
    const own = this.#ownSlices.get(service)
    const mirrored = this.#objects.get(objectKey('Endpoints', service))
    let list: readonly EndpointSlice[] = []
    if (own !== undefined) list = sortedValues(own)
    else if (mirrored?.kind === 'Endpoints') list = mirrored.value
    return putList(this.#slices, service, list)
  }

  #mergeGrants(): boolean {
    const grants = sortedValues(this.#grantObjects).flat()
    if (equal(grants, this.#grants)) return false
    this.#grants = grants
    return true
  }

  #build(): Snapshot {
    const node = this.#objects.get(objectKey('Node', this.#nodeName))
    return {
      generation: this.#generation,
      services: this.#services.share(),
      slices: this.#slices.share(),
      node: node?.kind === 'Node' ? node.value : undefined,
      serviceCidrs: [...new Set(sortedValues(this.#cidrObjects).flatMap((object) => object.value))],
      routes: this.#routes.share(),
      policies: this.#policies.share(),
      grants: this.#grants,
    }
  }
}

type Attached<V> = Map<ServiceId, Map<string, readonly V[]>>

/** Enters what one object attaches to each of its Services, or takes it out. */
function attach<V extends Attachment>(
  index: Attached<V>,
  attachments: readonly V[],
  id: string,
  present: boolean,
  touched: Set<ServiceId>,
): void {
  for (const [service, own] of Map.groupBy(attachments, (each) => each.service)) {
    enter(index, service, id, present ? own : undefined)
    touched.add(service)
  }
}

function mergeAttached<V>(
  from: Attached<V>,
  to: SharedMap<ServiceId, readonly V[]>,
  service: ServiceId,
): boolean {
  const own = from.get(service)
  return putList(to, service, own === undefined ? [] : sortedValues(own).flat())
}

/** Sets the entry of a Service, or deletes it for undefined. */
function enter<V>(
  index: Map<ServiceId, Map<string, V>>,
  service: ServiceId,
  id: string,
  value: V | undefined,
): void {
  const entries = index.get(service) ?? new Map<string, V>()
  if (value === undefined) entries.delete(id)
  else entries.set(id, value)
  if (entries.size === 0) index.delete(service)
  else index.set(service, entries)
}

/** In the order of their keys, so that the order of events never shows. */
function sortedValues<V>(map: ReadonlyMap<string, V>): V[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}

/** True if the list differs from the former one; a list of the same values keeps its identity. */
function putList<V>(
  map: SharedMap<ServiceId, readonly V[]>,
  service: ServiceId,
  list: readonly V[],
): boolean {
  const before = map.get(service) ?? []
  if (before.length === list.length && before.every((value, i) => value === list[i])) return false
  map.put(service, list.length === 0 ? undefined : list)
  return true
}
