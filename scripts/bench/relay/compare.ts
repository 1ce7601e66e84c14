// All peers, round by round: in a round each is visited once, one after the other, so that a busy minute of the machine
// hits all of them. A bar is held to the median of the rounds' own ratios, not to a ratio of medians.

import { spreadOf, type Spread } from '../machine.ts'
import { visit, visitMemory, type MemoryFigures, type Visit } from './measure.ts'
import { PEER_TITLES, type PeerName } from './peers.ts'

export interface RelayFigures {
  /** Per peer, one visit for each round. */
  readonly visits: ReadonlyMap<PeerName, readonly Visit[]>
  readonly memory: ReadonlyMap<PeerName, MemoryFigures>
  /** Round trips a second of the runs at a fixed rate. */
  readonly ratePerSecond: number
}

export const PEERS = Object.keys(PEER_TITLES) as readonly PeerName[]

/** A fifth of what the reference peer can do. */
const LOAD_PART = 0.2
const IDLE_CONNECTIONS = 9000

export async function compareRelays(rounds: number): Promise<RelayFigures> {
  const { pingPong } = await visit('haproxy', undefined)
  const ratePerSecond = Math.round((pingPong[64].perSecond * LOAD_PART) / 100) * 100
  const visits = new Map<PeerName, Visit[]>(PEERS.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const name of PEERS) {
      visits.get(name)?.push(await visit(name, ratePerSecond))
      console.error(`round ${round + 1} of ${rounds}: ${name}`)
    }
  }
  const memory = new Map<PeerName, MemoryFigures>()
  for (const name of PEERS) if (name !== 'direct') memory.set(name, await visitMemory(name, IDLE_CONNECTIONS))
  return { visits, memory, ratePerSecond }
}

/** Of one figure over the rounds of a peer. */
export function spreadOver(
  figures: RelayFigures,
  name: PeerName,
  read: (visit: Visit, round: number) => number,
): Spread {
  return spreadOf((figures.visits.get(name) ?? []).map(read))
}

/** Median over the rounds of one peer's figure by another's in the same round. */
export function ratioOf(
  figures: RelayFigures,
  name: PeerName,
  beside: PeerName,
  read: (visit: Visit, round: number) => number,
): number {
  const others = figures.visits.get(beside) ?? []
  return spreadOver(figures, name, (visit, round) => {
    const other = others[round]
    return other === undefined ? Number.NaN : read(visit, round) / read(other, round)
  }).median
}
