// The addresses of this node's interfaces, as decisions ask for them.

import { networkInterfaces } from 'node:os'
import type { Clock } from '../model/clock.ts'
import { parseIp, type Ip } from '../model/ip.ts'
import type { LocalAddresses } from './decision/client-kind.ts'

/** Interfaces come and go with Pods; an address older than this may be missed, which makes a host client an outside one. */
const FRESH_MS = 2_000

/** Reads the interfaces again only when somebody asks. */
export function interfaceAddresses(clock: Clock): LocalAddresses {
  let known: ReadonlySet<Ip> = new Set()
  let readAtMs = Number.NEGATIVE_INFINITY
  return {
    has(ip) {
      const nowMs = clock.monotonicMs()
      if (nowMs - readAtMs >= FRESH_MS) {
        known = readAddresses()
        readAtMs = nowMs
      }
      return known.has(ip)
    },
  }
}

function readAddresses(): ReadonlySet<Ip> {
  const found = new Set<Ip>()
  for (const addresses of Object.values(networkInterfaces()))
    for (const { address } of addresses ?? []) {
      const ip = parseIp(address)
      if (ip !== undefined) found.add(ip)
    }
  return found
}
