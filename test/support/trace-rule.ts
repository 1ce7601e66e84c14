// One line of iptables text -> a compiled rule. Strict on purpose: a shape that is not in this file is an error, so
// that a renderer which begins to write something new cannot pass tests that do not understand it.

import { cidrContains, parseCidr, type Cidr } from '#agent/model/cidr.ts'
import { parseIp, type Ip } from '#agent/model/ip.ts'

/** What a packet and its connection are at one rule. */
export interface TracePacket {
  readonly source: Ip
  /** After DNAT the endpoint's. */
  readonly ip: Ip
  readonly port: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  /** '' on OUTPUT and POSTROUTING. */
  readonly inInterface: string
  readonly mark: number
  readonly connmark: number
  /** What the client dialled. */
  readonly dialled: { readonly ip: Ip; readonly port: number }
  /** The connection's entry was confirmed: the packet has already left by POSTROUTING and came back over lo. */
  readonly confirmed: boolean
  /** nat chose its destination. */
  readonly translated: boolean
}

export interface TraceWorld {
  readonly isLocal: (ip: Ip) => boolean
  /** Members of sets; those of a list are the names of the sets that the proxy keeps alive in it. */
  readonly sets: ReadonlyMap<string, ReadonlySet<string>>
  /** The proxy has a transparent listener that would get the packet. */
  readonly hasListener: (packet: TracePacket) => boolean
  /** `recent` lists that have the client. */
  readonly recent: ReadonlySet<string>
}

export type Match = (packet: TracePacket, world: TraceWorld) => boolean

export type Target =
  | { readonly kind: 'chain'; readonly chain: string }
  | { readonly kind: 'return' | 'accept' | 'drop' | 'reject' | 'masquerade' | 'count' }
  | { readonly kind: 'mark' | 'connmark'; readonly value: number; readonly mask: number }
  | { readonly kind: 'dnat'; readonly ip: Ip; readonly port: number }

export interface TraceRule {
  readonly text: string
  readonly matches: readonly Match[]
  /** Uses the match `socket`, which exists in PREROUTING and INPUT only. */
  readonly looksForListener: boolean
  readonly probability: number
  readonly target: Target
}

/** `spec` is what follows `-A CHAIN `. Throws on anything unknown. */
export function compileRule(spec: string): TraceRule {
  const reader = new RuleReader(spec)
  while (!reader.done) reader.readPart()
  const { matches, probability, looksForListener, target } = reader
  return { text: spec, matches, probability, looksForListener, target }
}

class RuleReader {
  readonly matches: Match[] = []
  probability = 1
  looksForListener = false
  target: Target = { kind: 'count' }
  readonly #spec: string
  readonly #words: readonly string[]
  #at = 0
  #protocol = ''
  #negated = false

  constructor(spec: string) {
    this.#spec = spec
    this.#words = spec.match(/"[^"]*"|\S+/g) ?? []
  }

  get done(): boolean {
    return this.#at >= this.#words.length
  }

  readPart(): void {
    const word = this.#option()
    if (word === '-s' || word === '-d') {
      const range = this.#cidr(this.#next())
      if (word === '-s') this.#add((packet) => cidrContains(range, packet.source))
      else this.#add((packet) => cidrContains(range, packet.ip))
    } else if (word === '-i') {
      const name = this.#next()
      const [prefix, whole] = [name.replace(/\+$/, ''), !name.endsWith('+')]
      this.#add(({ inInterface: own }) => (whole ? own === prefix : own.startsWith(prefix)))
    } else if (word === '-p') {
      if (this.#negated) this.#fail('a negated protocol')
      const protocol = this.#next()
      if (!['tcp', 'udp', 'sctp'].includes(protocol)) this.#fail(`the protocol ${protocol}`)
      this.#protocol = protocol
      this.#add((packet) => packet.protocol === protocol)
    } else if (word === '-m' && !this.#negated) this.#module(this.#next())
    else if (word === '-j' && !this.#negated) this.#readTarget(this.#next())
    else this.#fail(word)
  }

  #module(name: string): void {
    switch (name) {
      case 'comment': {
        this.#expect('--comment')
        const text = this.#next()
        if (!/^".{1,255}"$/.test(text)) this.#fail(`the comment ${text}`)
        break
      }
      case 'tcp':
      case 'udp':
      case 'sctp':
        if (name !== this.#protocol) this.#fail(`-m ${name} without -p ${name}`)
        this.#transport(name)
        break
      case 'addrtype':
        this.#addressType()
        break
      case 'mark':
      case 'connmark': {
        if (this.#option() !== '--mark') this.#fail(`${name} without --mark`)
        const { value, mask } = this.#masked(this.#next())
        this.#add((packet) => ((name === 'mark' ? packet.mark : packet.connmark) & mask) >>> 0 === value)
        break
      }
      case 'conntrack':
        while (this.#peekOption().startsWith('--')) this.#conntrack(this.#option())
        break
      case 'socket':
        this.#expect('--transparent', '--nowildcard')
        this.looksForListener = true
        this.#add((packet, world) => world.hasListener(packet))
        break
      case 'set': {
        if (this.#option() !== '--match-set') this.#fail('set without --match-set')
        const [set, directions] = [this.#next(), this.#next()]
        this.#add((packet, world) => inSet(set, directions, packet, world))
        break
      }
      case 'recent':
        this.#recent(this.#next())
        break
      case 'statistic':
        this.#expect('--mode', 'random', '--probability')
        this.probability = Number(this.#next())
        if (!(this.probability > 0 && this.probability < 1))
          this.#fail(`a probability of ${this.probability}`)
        break
      default:
        this.#fail(`the match ${name}`)
    }
  }

  #transport(name: string): void {
    const option = this.#peekOption()
    if (option === '--dport') {
      this.#expect('--dport')
      const port = this.#number(this.#next())
      this.#add((packet) => packet.port === port)
    } else if (option === '--tcp-flags' && name === 'tcp') {
      // The packet of a trace is the first of its connection: a SYN, where it is TCP.
      this.#expect('--tcp-flags', 'FIN,SYN,RST,ACK', 'SYN')
    } else if (option.startsWith('--')) this.#fail(option)
  }

  #addressType(): void {
    const which = this.#option()
    this.#expect('LOCAL')
    if (which === '--src-type') this.#add((packet, world) => world.isLocal(packet.source))
    else if (which === '--dst-type') this.#add((packet, world) => world.isLocal(packet.ip))
    else this.#fail(which)
  }

  #conntrack(option: string): void {
    const value = this.#next()
    if (option === '--ctstate') {
      const states = value.split(',')
      const known = ['NEW', 'RELATED', 'ESTABLISHED', 'INVALID', 'DNAT']
      if (!states.every((state) => known.includes(state))) this.#fail(`the state ${value}`)
      this.#add(
        (packet) =>
          states.includes('NEW') ||
          (states.includes('DNAT') &&
            (packet.ip !== packet.dialled.ip || packet.port !== packet.dialled.port)),
      )
    } else if (option === '--ctstatus' && value === 'CONFIRMED') this.#add(({ confirmed }) => confirmed)
    else if (option === '--ctdir' && value === 'ORIGINAL') this.#add(() => true)
    else if (option === '--ctorigdst') this.#add(({ dialled }) => dialled.ip === parseIp(value))
    else if (option === '--ctorigdstport') {
      const port = this.#number(value)
      this.#add(({ dialled }) => dialled.port === port)
    } else this.#fail(`${option} ${value}`)
  }

  #recent(verb: string): void {
    if (verb === '--rcheck') {
      this.#expect('--seconds')
      this.#number(this.#next())
      this.#expect('--reap')
    } else if (verb !== '--set') this.#fail(verb)
    this.#expect('--name')
    const list = this.#next()
    this.#expect('--mask')
    const mask = this.#next()
    if (mask !== '255.255.255.255' && !/^(ffff:){7}ffff$/.test(mask)) this.#fail(`the mask ${mask}`)
    this.#expect('--rsource')
    if (verb === '--rcheck') this.#add((_, world) => world.recent.has(list))
  }

  #readTarget(name: string): void {
    this.target = this.#targetOf(name)
    if (!this.done) this.#fail('words after the target')
  }

  #targetOf(name: string): Target {
    switch (name) {
      case 'RETURN':
        return { kind: 'return' }
      case 'ACCEPT':
        return { kind: 'accept' }
      case 'DROP':
        return { kind: 'drop' }
      case 'REJECT': {
        this.#expect('--reject-with')
        const how = this.#next()
        if (!['icmp-port-unreachable', 'icmp6-port-unreachable', 'tcp-reset'].includes(how)) this.#fail(how)
        if (how === 'tcp-reset' && this.#protocol !== 'tcp') this.#fail('a reset for other protocols')
        return { kind: 'reject' }
      }
      case 'MASQUERADE':
        this.#expect('--random-fully')
        return { kind: 'masquerade' }
      case 'MARK':
      case 'CONNMARK':
        this.#expect('--set-xmark')
        return { kind: name === 'MARK' ? 'mark' : 'connmark', ...this.#masked(this.#next()) }
      case 'DNAT': {
        if (this.#protocol === '') this.#fail('DNAT to a port without a protocol')
        this.#expect('--to-destination')
        const match = /^(?:\[(.+)\]|([^:[]+)):(\d+)$/.exec(this.#next())
        const ip = parseIp(match?.[1] ?? match?.[2] ?? '')
        if (ip === undefined) return this.#fail('this destination')
        return { kind: 'dnat', ip, port: Number(match?.[3]) }
      }
      default:
        if (!/^(KUBE|SHUNT)-[A-Z0-9-]+$/.test(name)) this.#fail(`the target ${name}`)
        return { kind: 'chain', chain: name }
    }
  }

  #add(match: Match): void {
    const flip = this.#negated
    this.#negated = false
    this.matches.push(flip ? (packet, world) => !match(packet, world) : match)
  }

  #next(): string {
    return this.#words[this.#at++] ?? this.#fail('a rule that ends here')
  }

  #expect(...wanted: readonly string[]): void {
    for (const word of wanted) {
      const found = this.#next()
      if (found !== word) this.#fail(`${found} in place of ${word}`)
    }
  }

  /** The next option; a `!` before it negates its match. */
  #option(): string {
    if (this.#words[this.#at] === '!') {
      this.#negated = true
      this.#at++
    }
    return this.#next()
  }

  #peekOption(): string {
    return this.#words[this.#at + (this.#words[this.#at] === '!' ? 1 : 0)] ?? ''
  }

  #number(text: string): number {
    return /^(0x[0-9a-f]+|[0-9]+)$/.test(text) ? Number(text) : this.#fail(`the number ${text}`)
  }

  #masked(text: string): { value: number; mask: number } {
    const [value = '', mask = ''] = text.split('/')
    return { value: this.#number(value), mask: this.#number(mask) }
  }

  #cidr(text: string): Cidr {
    return parseCidr(text) ?? this.#fail(`the range ${text}`)
  }

  #fail(what: string): never {
    throw new Error(`the tracer does not know ${what} in: ${this.#spec}`)
  }
}

/** A list matches if a member set that is alive does; `dst,dst` asks sets of addresses and ports, `dst` sets of ports. */
function inSet(name: string, directions: string, packet: TracePacket, world: TraceWorld): boolean {
  const members = world.sets.get(name)
  if (members === undefined) throw new Error(`no set ${name}`)
  const key =
    directions === 'dst,dst'
      ? `${packet.ip},${packet.protocol}:${packet.port}`
      : directions === 'dst'
        ? String(packet.port)
        : undefined
  if (key === undefined) throw new Error(`the tracer does not know the directions ${directions}`)
  if (members.has(key)) return true
  for (const member of members)
    if (world.sets.has(member) && inSet(member, directions, packet, world)) return true
  return false
}
