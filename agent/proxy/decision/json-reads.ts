// Readers of the values that a view is made of, out of unknown JSON. Each says what is wrong and gives undefined.

import { parseCidr, type Cidr } from '../../model/cidr.ts'
import type { Bounds } from '../../model/connection-policy-bounds.ts'
import { parseIp, type Ip } from '../../model/ip.ts'
import { isObject, type JsonObject, type Reasons } from './reasons.ts'
import type { PoolName } from './view.ts'

export type Read<T> = (json: unknown, path: string, reasons: Reasons) => T | undefined

export function record<T>(
  json: JsonObject,
  field: string,
  reasons: Reasons,
  isKey: (key: string) => boolean,
  read: Read<T>,
): Readonly<Record<string, T>> {
  const value = json[field]
  const result: Record<string, T> = {}
  if (!isObject(value)) {
    reasons.add(field, 'must be an object')
    return result
  }
  for (const [key, each] of Object.entries(value)) {
    const path = `${field}[${JSON.stringify(key.slice(0, 100))}]`
    const good = read(each, path, reasons)
    if (!isKey(key)) reasons.add(path, 'has a key of the wrong form')
    else if (good !== undefined) result[key] = good
  }
  return result
}

/** At most `most` items; a longer list is refused whole, for nothing that makes views makes such. */
export function list<T>(
  json: unknown,
  path: string,
  reasons: Reasons,
  read: Read<T>,
  most = MOST_ITEMS,
): readonly T[] {
  if (!Array.isArray(json) || json.length > most) {
    reasons.add(path, Array.isArray(json) ? `must have at most ${most} entries` : 'must be a list')
    return []
  }
  return json.flatMap((each: unknown, i) => read(each, `${path}[${i}]`, reasons) ?? [])
}

/** More endpoints than any Service has. */
const MOST_ITEMS = 1_000_000

export const readIp: Read<Ip> = (json, path, reasons) => {
  const ip = typeof json === 'string' ? parseIp(json) : undefined
  return ip ?? reasons.add(path, 'must be an address')
}

export const readCidr: Read<Cidr> = (json, path, reasons) => {
  const cidr = typeof json === 'string' ? parseCidr(json) : undefined
  return cidr ?? reasons.add(path, 'must be a range of addresses')
}

export function numberIn(
  json: JsonObject,
  field: string,
  path: string,
  reasons: Reasons,
  { min, max }: Bounds,
): number | undefined {
  const value = json[field]
  if (typeof value === 'number' && value >= min && value <= max) return value
  return reasons.add(`${path}.${field}`, `must be a number from ${min} to ${max}`)
}

export function isServiceKey(key: string): boolean {
  return /^[^/:]+\/[^/:]+(?::[^/:]+)?\/TCP$/.test(key)
}

export function poolName(value: unknown): PoolName | undefined {
  return value === 'cluster' || value === 'local' ? value : undefined
}
