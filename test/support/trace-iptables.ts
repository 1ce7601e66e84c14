// Walks the first packet of a connection through the text of iptables rules, hook by hook, as the kernel would, and
// answers every fate with its probability. It reads text only and shares nothing with the renderer.
//
//   comes in:   mangle+nat PREROUTING → for this node: filter INPUT; for others: filter FORWARD → nat POSTROUTING
//   node's own: mangle+nat+filter OUTPUT → nat POSTROUTING → for this node, over lo: mangle PREROUTING → filter INPUT

import type { Ip } from '#agent/model/ip.ts'
import { lowerProtocol } from '#agent/model/port.ts'
import type { Packet } from '#agent/plan/packet.ts'
import { compileRule, type TracePacket, type TraceRule, type TraceWorld } from './trace-rule.ts'

export type { TraceWorld } from './trace-rule.ts'

export interface Fate {
  readonly kind: 'delivered' | 'dropped' | 'rejected'
  readonly probability: number
  /** A rule sent it to an endpoint, even if that is where it went anyway. */
  readonly translated: boolean
  /** After DNAT. */
  readonly ip: Ip
  readonly port: number
  readonly mark: number
  /** A rule of POSTROUTING masqueraded it. Packets delivered from outside never come there. */
  readonly masqueraded: boolean
  /** To this node: by its address or by its mark. */
  readonly here: boolean
}

type Table = 'mangle' | 'nat' | 'filter'
type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

const HOOKS: Readonly<Record<Table, readonly Hook[]>> = {
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
}

/** Packets with this mark in these bits go to this node, whatever their address (ip rule of the steering). */
export interface DeliveryByMark {
  readonly value: number
  readonly mask: number
}

export interface RuleSet {
  trace(packet: Packet, world: TraceWorld, delivery?: DeliveryByMark): readonly Fate[]
}

/** Text of iptables-save, or of iptables-restore against empty tables. Throws on shapes that it does not know. */
export function compileRules(text: string): RuleSet {
  const tables = readTables(text)
  return { trace: (packet, world, delivery) => walk(tables, packet, world, delivery) }
}

type Tables = Readonly<Record<Table, Map<string, TraceRule[]>>>

function readTables(text: string): Tables {
  const tables: Tables = { mangle: new Map(), nat: new Map(), filter: new Map() }
  for (const table of Object.keys(HOOKS) as Table[])
    for (const hook of HOOKS[table]) tables[table].set(hook, [])
  let chains = new Map<string, TraceRule[]>()
  for (const line of text.split('\n')) {
    const [verb = '', chain = ''] = line.split(' ', 2)
    if (verb === '' || verb === '#' || verb === 'COMMIT') continue
    if (verb.startsWith('*')) {
      const table = tables[verb.slice(1) as Table] as Tables[Table] | undefined
      if (table === undefined) throw new Error(`no table ${verb}`)
      chains = table
    } else if (verb.startsWith(':')) {
      const name = verb.slice(1)
      if (!chains.has(name)) chains.set(name, [])
    } else if (verb === '-A' || verb === '-I') {
      const rules = chains.get(chain)
      if (rules === undefined) throw new Error(`no chain ${chain}: ${line}`)
      const rule = compileRule(line.slice(verb.length + chain.length + 2))
      if (verb === '-A') rules.push(rule)
      else rules.unshift(rule)
    } else throw new Error(`the tracer does not know the line ${line}`)
  }
  for (const table of Object.values(tables))
    for (const rules of table.values())
      for (const { target, text: rule } of rules)
        if (target.kind === 'chain' && !table.has(target.chain)) throw new Error(`no chain for ${rule}`)
  return tables
}

interface Branch {
  readonly packet: TracePacket
  readonly probability: number
  readonly end: 'go on' | 'accept' | 'drop' | 'reject' | 'masquerade'
}

const DEPTH_LIMIT = 16

function walk(
  tables: Tables,
  first: Packet,
  world: TraceWorld,
  delivery: DeliveryByMark | undefined,
): readonly Fate[] {
  const fates: Fate[] = []
  const isHere = (packet: TracePacket): boolean =>
    world.isLocal(packet.ip) ||
    (delivery !== undefined && (packet.mark & delivery.mask) >>> 0 === delivery.value)
  const finish = (branch: Branch, masqueraded: boolean): void => {
    const { packet, probability, end } = branch
    const kind = end === 'drop' ? 'dropped' : end === 'reject' ? 'rejected' : 'delivered'
    const { ip, port, mark, translated } = packet
    fates.push({ kind, probability, translated, ip, port, mark, masqueraded, here: isHere(packet) })
  }
  /** Runs the tables of a hook one after the other; drops and rejects end here. */
  const pass = (hook: Hook, names: readonly Table[], start: Branch, masqueraded = false): Branch[] => {
    let live = [start]
    for (const table of names) {
      const next: Branch[] = []
      for (const branch of live)
        for (const after of runChain(
          tables[table],
          hook,
          table,
          hook,
          branch.packet,
          branch.probability,
          0,
          world,
        ))
          if (after.end === 'drop' || after.end === 'reject') finish(after, masqueraded)
          else next.push(after)
      live = next
    }
    return live
  }
  const start: Branch = { packet: packetOf(first), probability: 1, end: 'go on' }
  if (first.inInterface === '') {
    for (const left of pass('OUTPUT', ['mangle', 'nat', 'filter'], start))
      for (const gone of pass('POSTROUTING', ['mangle', 'nat'], left)) {
        const masqueraded = gone.end === 'masquerade'
        if (!isHere(gone.packet)) finish(gone, masqueraded)
        else {
          const packet = { ...gone.packet, inInterface: 'lo', confirmed: true }
          // nat has decided about this connection, and does not look at it again.
          for (const back of pass('PREROUTING', ['mangle'], { ...gone, packet }, masqueraded))
            for (const done of pass('INPUT', ['mangle', 'filter'], back, masqueraded))
              finish(done, masqueraded)
        }
      }
    return fates
  }
  for (const came of pass('PREROUTING', ['mangle', 'nat'], start))
    if (isHere(came.packet))
      for (const done of pass('INPUT', ['mangle', 'filter', 'nat'], came)) finish(done, false)
    else
      for (const on of pass('FORWARD', ['mangle', 'filter'], came)) {
        const left = { ...on, packet: { ...on.packet, inInterface: '' } }
        for (const done of pass('POSTROUTING', ['mangle', 'nat'], left))
          finish(done, done.end === 'masquerade')
      }
  return fates
}

function packetOf(first: Packet): TracePacket {
  return {
    source: first.source,
    ip: first.destination,
    port: first.port,
    protocol: lowerProtocol(first.protocol),
    inInterface: first.inInterface,
    mark: 0,
    connmark: 0,
    dialled: { ip: first.destination, port: first.port },
    confirmed: false,
    translated: false,
  }
}

function runChain(
  chains: Map<string, TraceRule[]>,
  chain: string,
  table: Table,
  hook: Hook,
  start: TracePacket,
  startProbability: number,
  depth: number,
  world: TraceWorld,
): Branch[] {
  if (depth > DEPTH_LIMIT) throw new Error(`chains of ${table} are nested too deep at ${chain}`)
  const rules = chains.get(chain)
  if (rules === undefined) throw new Error(`no chain ${chain} in ${table}`)
  const done: Branch[] = []
  let live: { packet: TracePacket; probability: number }[] = [
    { packet: start, probability: startProbability },
  ]
  for (const rule of rules) {
    if (live.length === 0) break
    if (rule.looksForListener && hook !== 'PREROUTING' && hook !== 'INPUT')
      throw new Error(`the match socket on ${hook}: ${rule.text}`)
    const next: typeof live = []
    for (const state of live) {
      if (!rule.matches.every((match) => match(state.packet, world))) {
        next.push(state)
        continue
      }
      if (rule.probability < 1)
        next.push({ packet: state.packet, probability: state.probability * (1 - rule.probability) })
      const probability = state.probability * rule.probability
      const end = (how: Branch['end'], packet = state.packet): void => {
        done.push({ packet, probability, end: how })
      }
      const { target } = rule
      switch (target.kind) {
        case 'count':
          next.push({ packet: state.packet, probability })
          break
        case 'return':
          end('go on')
          break
        case 'accept':
        case 'drop':
          end(target.kind)
          break
        case 'reject':
          if (table !== 'filter') throw new Error(`REJECT in ${table}`)
          end('reject')
          break
        case 'masquerade':
          if (table !== 'nat' || hook !== 'POSTROUTING') throw new Error(`MASQUERADE in ${table} ${hook}`)
          end('masquerade')
          break
        case 'dnat':
          if (table !== 'nat' || (hook !== 'PREROUTING' && hook !== 'OUTPUT'))
            throw new Error(`DNAT on ${hook}`)
          end('accept', { ...state.packet, ip: target.ip, port: target.port, translated: true })
          break
        case 'mark':
        case 'connmark': {
          const changed = ((state.packet[target.kind] & ~target.mask) ^ target.value) >>> 0
          next.push({ packet: { ...state.packet, [target.kind]: changed }, probability })
          break
        }
        case 'chain':
          for (const branch of runChain(
            chains,
            target.chain,
            table,
            hook,
            state.packet,
            probability,
            depth + 1,
            world,
          ))
            if (branch.end === 'go on') next.push(branch)
            else done.push(branch)
      }
    }
    live = next
  }
  for (const state of live) done.push({ ...state, end: 'go on' })
  return done
}
