// Objects that attach to a Service from outside: policies (targetRefs) and routes (parentRefs). Which of the Service's
// ports one selects, and which of two comes first, by the Gateway API's rules.

import type { ServiceId } from './ids.ts'
import type { Port } from './port.ts'
import type { ServicePort } from './service.ts'

export interface Attachment {
  /** `namespace/name` of the object that attaches. */
  readonly id: string
  readonly service: ServiceId
  /** undefined: every port of the Service. */
  readonly port?: Port
  /** Name of a port, or its number as text; undefined: every port. With `port` both must fit. */
  readonly section?: string
  /** metadata.creationTimestamp, ms since 1970; undefined: not given, as in files that people write. */
  readonly createdAtMs?: number
}

/** `ports`: all of the Service. A name beats a number, because a port may be called `80`. */
export function selectsPort(
  { port, section }: Pick<Attachment, 'port' | 'section'>,
  candidate: Pick<ServicePort, 'name' | 'port'>,
  ports: readonly Pick<ServicePort, 'name'>[],
): boolean {
  if (port !== undefined && port !== candidate.port) return false
  if (section === undefined) return true
  return ports.some(({ name }) => name === section)
    ? candidate.name === section
    : String(candidate.port) === section
}

/** The older object comes first, then the smaller `namespace/name`; one without a time comes after all that have one. */
export function byAge(a: Attachment, b: Attachment): number {
  const age = (a.createdAtMs ?? Infinity) - (b.createdAtMs ?? Infinity)
  if (age !== 0 && !Number.isNaN(age)) return age
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}
