// Who claims which address in one family. Two Service ports may claim the same one (the API does not forbid it for
// external IPs), a kernel rule can serve only one of them, and which one must not depend on the order of events.
//
// An index is changed in place as Services come and go; buildPlan hands it from one Plan to the next.

import type { FrontendConflict } from './plan.ts'
import type { Address } from './frontends.ts'
import type { ServiceId, ServicePortKey } from '../model/ids.ts'
import { compareIp } from '../model/ip.ts'
import type { Protocol } from '../model/port.ts'

export interface ClaimIndex {
  /** By {@link addressKey}; a list only where there are several, because nearly always there is one. */
  readonly byAddress: Map<string, Claim | Claim[]>
  /** Addresses with several claims. */
  readonly contested: Set<string>
}

export interface Claim {
  readonly key: ServicePortKey
  readonly service: ServiceId
  readonly protocol: Protocol
  readonly address: Address
}

export function emptyClaims(): ClaimIndex {
  return { byAddress: new Map(), contested: new Set() }
}

/** `10.0.0.1|80|TCP`, or `node|30080|TCP` for a NodePort. */
export function addressKey({ ip, port }: Pick<Address, 'ip' | 'port'>, protocol: Protocol): string {
  return `${ip ?? 'node'}|${port}|${protocol}`
}

/** Returns the Service that may lose the address by it; losers among losers see no change. */
export function addClaim(index: ClaimIndex, claim: Claim): ServiceId | undefined {
  const key = addressKey(claim.address, claim.protocol)
  const known = index.byAddress.get(key)
  if (known === undefined) {
    index.byAddress.set(key, claim)
    return undefined
  }
  const claims = Array.isArray(known) ? known : [known]
  const before = claims[0]?.service
  claims.splice(placeOf(claims, claim), 0, claim)
  index.byAddress.set(key, claims)
  index.contested.add(key)
  return before
}

/** Takes a claim back; returns the Service that has the address now. */
export function removeClaim(index: ClaimIndex, claim: Claim): ServiceId | undefined {
  const key = addressKey(claim.address, claim.protocol)
  const known = index.byAddress.get(key)
  if (known === undefined) return undefined
  const rest = (Array.isArray(known) ? known : [known]).filter((other) => other.key !== claim.key)
  const [first] = rest
  if (first === undefined) index.byAddress.delete(key)
  else index.byAddress.set(key, rest.length === 1 ? first : rest)
  if (rest.length < 2) index.contested.delete(key)
  return first?.service
}

/** Who has the address; undefined: nobody claims it. */
export function winnerOf(index: ClaimIndex, address: Address, protocol: Protocol): Claim | undefined {
  const known = index.byAddress.get(addressKey(address, protocol))
  return Array.isArray(known) ? known[0] : known
}

/** In order of the address: VIPs by number, then NodePorts; then by port and protocol. */
export function conflictsOf(index: ClaimIndex): FrontendConflict[] {
  const conflicts: FrontendConflict[] = []
  for (const key of index.contested) {
    const claims = index.byAddress.get(key)
    if (!Array.isArray(claims)) continue
    const [winner, ...losers] = claims
    if (winner === undefined) continue
    const { ip, port } = winner.address
    const loserKeys = losers.map((loser) => loser.key).sort()
    conflicts.push({ ip, port, protocol: winner.protocol, winner: winner.key, losers: loserKeys })
  }
  return conflicts.sort(byAddress)
}

/** Where a claim belongs in a sorted list, by halving: thousands may claim one address. */
function placeOf(claims: readonly Claim[], claim: Claim): number {
  let low = 0
  let high = claims.length
  while (low < high) {
    const middle = (low + high) >> 1
    const other = claims[middle]
    if (other !== undefined && byRank(other, claim) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** An external IP must not take a ClusterIP from its Service, whoever's name comes first (CVE-2020-8554). */
function byRank(a: Claim, b: Claim): number {
  const rank = Number(b.address.kind === 'ClusterIP') - Number(a.address.kind === 'ClusterIP')
  return rank !== 0 ? rank : a.key < b.key ? -1 : 1
}

function byAddress(a: FrontendConflict, b: FrontendConflict): number {
  if (a.ip !== b.ip) {
    if (a.ip === undefined) return 1
    if (b.ip === undefined) return -1
    return compareIp(a.ip, b.ip)
  }
  return a.port - b.port || (a.protocol < b.protocol ? -1 : 1)
}
