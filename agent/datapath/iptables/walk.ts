// Follows the first packet of a connection through the rules that the kernel really has, and answers where it can end
// up, with which probability, and by which chains. It is the "actual" half of `shunt trace`; explain() is the other.
//
//   from outside or a Pod:  mangle PREROUTING → nat PREROUTING → filter INPUT or FORWARD → nat POSTROUTING
//   from the node itself:   mangle OUTPUT     → nat OUTPUT     → filter OUTPUT           → nat POSTROUTING
//                           (→ filter INPUT, when it is delivered on the node)
//
// Only chains that are in `tables` are known: a jump to another chain, or a test that cannot be read, is a note and
// counts as not matched.

import { cidrContains } from '../../model/cidr.ts'
import { isLoopback, type Ip } from '../../model/ip.ts'
import { lowerProtocol, type Port } from '../../model/port.ts'
import type { Packet } from '../../plan/packet.ts'
import { readWalkRule, type Matcher, type WalkAction } from './walk-rule.ts'

export type WalkTableName = 'mangle' | 'nat' | 'filter'

/** By chain name, the rules in order, as iptables-save prints them, with or without `-A CHAIN`. */
export type WalkTables = Readonly<Record<WalkTableName, ReadonlyMap<string, readonly string[]>>>

/** What rules ask for that is neither in the packet nor in the tables. */
export interface WalkWorld {
  readonly localAddresses: ReadonlySet<Ip>
  /** Whether an address and port, or a port alone, is in an ipset now. */
  inSet(name: string, destination: { readonly ip: Ip; readonly port: Port }): boolean
  /** Whether the client is in a `recent` list of that name, seen within the seconds. */
  isRecent(list: string, client: Ip, seconds: number): boolean
  /** Whether the proxy has a listener that takes the packet. */
  hasListener(destination: { readonly ip: Ip; readonly port: Port }): boolean
  /** Whether a packet with this mark is delivered on the node whatever its address (ip rule of the steering). */
  deliversMark(mark: number): boolean
}

export interface Walk {
  /** Every way that the packet can take; their probabilities add up to 1. */
  readonly fates: readonly Fate[]
  /** Rules on the way that could not be judged, as sentences. */
  readonly notes: readonly string[]
}

export interface Fate {
  readonly probability: number
  /** The rules that matched and led on, in order. */
  readonly hops: readonly Hop[]
  readonly end: 'delivered' | 'dropped' | 'rejected'
  /** Where it goes after DNAT; its own destination if there was none. */
  readonly destination: { readonly ip: Ip; readonly port: Port }
  /** DNAT changed the destination. */
  readonly translated: boolean
  readonly masqueraded: boolean
  /** It came in and is delivered on the node: it never meets POSTROUTING, where masquerading is done. */
  readonly input: boolean
  /** The packet's mark at the end of the first hook, which routing sees. */
  readonly mark: number
}

export interface Hop {
  readonly table: WalkTableName
  readonly chain: string
  /** 1-based place in the chain, and how many rules the chain has. */
  readonly rule: number
  readonly of: number
  /** The rule's text, as iptables-save prints it. */
  readonly text: string
  /** What the rule does: the chain that it leads to, or its target. */
  readonly leads: string
}

interface State {
  readonly probability: number
  readonly hops: readonly Hop[]
  readonly ip: Ip
  readonly port: Port
  readonly translated: boolean
  readonly masqueraded: boolean
  readonly mark: number
  readonly connmark: number
}

/** A state after some rules; `ended` undefined: it fell through the chain or returned from it. */
interface Branch {
  readonly state: State
  readonly ended: 'accept' | 'drop' | 'reject' | undefined
}

/** Jumps nest at most so deep; the kernel allows 16 in most versions, and refuses loops. */
const DEPTH_LIMIT = 32

/** Pure. */
export function walk(tables: WalkTables, packet: Packet, world: WalkWorld): Walk {
  const notes = new Set<string>()
  const own = packet.inInterface === ''
  const start: State = {
    probability: 1,
    hops: [],
    ip: packet.destination,
    port: packet.port,
    translated: false,
    masqueraded: false,
    mark: 0,
    connmark: 0,
  }
  const run = (table: WalkTableName, chain: string, state: State): readonly Branch[] =>
    runChain({ tables, packet, world, notes, table }, chain, state, 0)
  const then = (branches: readonly Branch[], next: (state: State) => readonly Branch[]): readonly Branch[] =>
    branches.flatMap((branch) =>
      branch.ended === 'drop' || branch.ended === 'reject' ? [branch] : next(branch.state),
    )

  const first = own ? 'OUTPUT' : 'PREROUTING'
  const here = (state: State): boolean => isLocal(state.ip, world) || world.deliversMark(state.mark)
  let branches = then(run('mangle', first, start), (state) => run('nat', first, state))
  if (own) {
    branches = then(branches, (state) => run('filter', 'OUTPUT', state))
    branches = then(branches, (state) => run('nat', 'POSTROUTING', state))
    branches = then(branches, (state) =>
      here(state) ? run('filter', 'INPUT', state) : [{ state, ended: undefined }],
    )
  } else {
    branches = then(branches, (state) =>
      here(state)
        ? run('filter', 'INPUT', state)
        : then(run('filter', 'FORWARD', state), (forwarded) => run('nat', 'POSTROUTING', forwarded)),
    )
  }
  return { fates: branches.map((branch) => toFate(branch, !own && here(branch.state))), notes: [...notes] }
}

/** All of 127.0.0.0/8 is local, though a device has only one address of it. */
function isLocal(ip: Ip, { localAddresses }: WalkWorld): boolean {
  return localAddresses.has(ip) || isLoopback(ip)
}

function toFate({ state, ended }: Branch, input: boolean): Fate {
  return {
    probability: state.probability,
    hops: state.hops,
    end: ended === 'drop' ? 'dropped' : ended === 'reject' ? 'rejected' : 'delivered',
    destination: { ip: state.ip, port: state.port },
    translated: state.translated,
    masqueraded: state.masqueraded,
    input,
    mark: state.mark,
  }
}

interface Context {
  readonly tables: WalkTables
  readonly packet: Packet
  readonly world: WalkWorld
  readonly notes: Set<string>
  readonly table: WalkTableName
}

function runChain(context: Context, chain: string, start: State, depth: number): readonly Branch[] {
  const rules = context.tables[context.table].get(chain) ?? []
  const done: Branch[] = []
  let live: State[] = [start]
  for (const [i, text] of rules.entries()) {
    if (live.length === 0) break
    const rule = readWalkRule(text)
    const hop = {
      table: context.table,
      chain,
      rule: i + 1,
      of: rules.length,
      text,
      leads: leadsTo(rule.action),
    }
    const staying: State[] = []
    for (const state of live) {
      const chance = chanceOf(context, rule.tests, state, hop)
      if (chance < 1)
        staying.push(chance === 0 ? state : { ...state, probability: state.probability * (1 - chance) })
      if (chance === 0) continue
      const matched = { ...state, probability: state.probability * chance, hops: [...state.hops, hop] }
      const result = act(context, rule.action, matched, hop, depth)
      staying.push(...result.staying)
      done.push(...result.done)
    }
    live = staying
  }
  return [...done, ...live.map((state) => ({ state, ended: undefined }))]
}

interface Acted {
  /** Those that go on with the next rule of the chain. */
  readonly staying: readonly State[]
  readonly done: readonly Branch[]
}

function act(context: Context, action: WalkAction, state: State, hop: Hop, depth: number): Acted {
  const ends = (ended: Branch['ended'], changed: State = state): Acted => ({
    staying: [],
    done: [{ state: changed, ended }],
  })
  const stays = (changed: State = state): Acted => ({ staying: [changed], done: [] })
  switch (action.kind) {
    case 'continue':
      return stays()
    case 'return':
      return ends(undefined)
    case 'accept':
    case 'drop':
    case 'reject':
      return ends(action.kind)
    case 'masquerade':
      return ends('accept', { ...state, masqueraded: true })
    case 'dnat':
      return ends('accept', {
        ...state,
        ip: action.ip ?? state.ip,
        port: action.port ?? state.port,
        translated: true,
      })
    case 'mark':
      return stays({ ...state, mark: applyMark(state.mark, action) })
    case 'connmark':
      return stays({ ...state, connmark: applyMark(state.connmark, action) })
    case 'unknown':
      context.notes.add(`${placeOf(hop)}: target not understood: ${action.text}`)
      return stays()
    case 'jump':
    case 'goto': {
      if (!context.tables[context.table].has(action.chain) || depth >= DEPTH_LIMIT) {
        context.notes.add(`${placeOf(hop)}: chain ${action.chain} is not known and was passed over`)
        return stays()
      }
      const branches = runChain(context, action.chain, state, depth + 1)
      // What falls through a chain that was gone to leaves the caller too.
      if (action.kind === 'goto') return { staying: [], done: branches }
      return {
        staying: branches.filter((branch) => branch.ended === undefined).map((branch) => branch.state),
        done: branches.filter((branch) => branch.ended !== undefined),
      }
    }
  }
}

/** 0: does not match, 1: matches, between: matches so often. */
function chanceOf(
  context: Context,
  tests: readonly { negated: boolean; what: Matcher }[],
  state: State,
  hop: Hop,
): number {
  let chance = 1
  for (const { negated, what } of tests) {
    const matches = judge(context, what, state)
    if (matches === undefined) {
      if (what.kind === 'unknown') context.notes.add(`${placeOf(hop)}: test not understood: ${what.text}`)
      return 0
    }
    chance *= negated ? 1 - matches : matches
    if (chance === 0) return 0
  }
  return chance
}

/** The probability of a match; undefined: cannot be told. */
function judge({ packet, world }: Context, what: Matcher, state: State): number | undefined {
  const yes = (matches: boolean): number => (matches ? 1 : 0)
  switch (what.kind) {
    case 'source':
      return yes(cidrContains(what.cidr, packet.source))
    case 'destination':
      return yes(cidrContains(what.cidr, state.ip))
    case 'originalDestination':
      return yes(cidrContains(what.cidr, packet.destination))
    case 'originalPort':
      return yes(inRanges(packet.port, what.ranges))
    case 'sourceType':
      return what.type === 'LOCAL' ? yes(isLocal(packet.source, world)) : undefined
    case 'destinationType':
      return what.type === 'LOCAL' ? yes(isLocal(state.ip, world)) : undefined
    case 'protocol':
      return yes(what.name === 'all' || what.name === lowerProtocol(packet.protocol))
    case 'destinationPort':
      return yes(inRanges(state.port, what.ranges))
    case 'inInterface':
      return yes(interfaceMatches(what.pattern, packet.inInterface))
    case 'outInterface':
      // Where a packet leaves is the routing table's business; loopback is the only case that our rules name.
      return what.pattern === 'lo' ? yes(isLocal(state.ip, world)) : undefined
    case 'mark':
      return yes((state.mark & what.mask) >>> 0 === what.value)
    case 'connmark':
      return yes((state.connmark & what.mask) >>> 0 === what.value)
    case 'state':
      return yes(what.names.includes('NEW') || (what.names.includes('DNAT') && state.translated))
    case 'status':
      return yes(what.names.includes('DNAT') && state.translated)
    case 'set':
      return yes(world.inSet(what.name, { ip: state.ip, port: state.port }))
    case 'recent':
      return yes(world.isRecent(what.list, packet.source, what.seconds))
    case 'socket':
      return yes(world.hasListener({ ip: state.ip, port: state.port }))
    case 'chance':
      return what.probability
    case 'always':
      return 1
    case 'unknown':
      return undefined
  }
}

function inRanges(port: Port, ranges: readonly (readonly [number, number])[]): boolean {
  return ranges.some(([low, high]) => port >= low && port <= high)
}

function interfaceMatches(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function applyMark(old: number, { value, mask }: { readonly value: number; readonly mask: number }): number {
  return ((old & ~mask) ^ value) >>> 0
}

function leadsTo(action: WalkAction): string {
  if (action.kind === 'jump' || action.kind === 'goto') return action.chain
  return action.kind === 'unknown' ? action.text : action.kind.toUpperCase()
}

function placeOf(hop: Hop): string {
  return `${hop.table} ${hop.chain} rule ${hop.rule}/${hop.of}`
}
