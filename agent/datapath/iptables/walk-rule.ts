// One rule as iptables-save prints it, read into what the walk needs: tests of a packet, and what is done on a match.
// What it does not know becomes a test of kind `unknown`, never a guess.

import { hostCidr, parseCidr, type Cidr } from '../../model/cidr.ts'
import { parseIp, type Ip } from '../../model/ip.ts'

export interface WalkRule {
  readonly tests: readonly WalkTest[]
  readonly action: WalkAction
}

export interface WalkTest {
  readonly negated: boolean
  readonly what: Matcher
}

export type Matcher =
  /** `originalDestination`: before any DNAT, as conntrack keeps it. */
  | { readonly kind: 'source' | 'destination' | 'originalDestination'; readonly cidr: Cidr }
  | { readonly kind: 'sourceType' | 'destinationType'; readonly type: string }
  | { readonly kind: 'protocol'; readonly name: string }
  | {
      readonly kind: 'destinationPort' | 'originalPort'
      readonly ranges: readonly (readonly [number, number])[]
    }
  | { readonly kind: 'inInterface' | 'outInterface'; readonly pattern: string }
  | { readonly kind: 'mark' | 'connmark'; readonly value: number; readonly mask: number }
  | { readonly kind: 'state' | 'status'; readonly names: readonly string[] }
  | { readonly kind: 'set'; readonly name: string; readonly directions: string }
  | { readonly kind: 'recent'; readonly list: string; readonly seconds: number }
  | { readonly kind: 'chance'; readonly probability: number }
  /** A listener that the packet would be delivered to, transparent like the proxy's. */
  | { readonly kind: 'socket' }
  | { readonly kind: 'always' }
  | { readonly kind: 'unknown'; readonly text: string }

export type WalkAction =
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'return' | 'accept' | 'drop' | 'reject' | 'masquerade' | 'continue' }
  /** A missing part keeps the packet's own. */
  | { readonly kind: 'dnat'; readonly ip: Ip | undefined; readonly port: number | undefined }
  /** new = (old & ~mask) ^ value, like --set-xmark */
  | { readonly kind: 'mark' | 'connmark'; readonly value: number; readonly mask: number }
  | { readonly kind: 'unknown'; readonly text: string }

/** Reads a line of iptables-save, with or without its `-A CHAIN`. */
export function readWalkRule(line: string): WalkRule {
  const all = splitWords(line)
  const words = all[0] === '-A' ? all.slice(2) : all
  const target = words.findIndex((word) => word === '-j' || word === '-g')
  const end = target === -1 ? words.length : target
  return {
    tests: readTests(words.slice(0, end)),
    action: target === -1 ? { kind: 'continue' } : readAction(words.slice(target)),
  }
}

/** Words as the shell would split them: iptables-save quotes comments. */
export function splitWords(text: string): readonly string[] {
  const words = [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)]
  return words.map((match) => match[2] ?? (match[1] ?? '').replaceAll(/\\(.)/g, '$1'))
}

function readTests(words: readonly string[]): readonly WalkTest[] {
  const tests: WalkTest[] = []
  let module = ''
  let negated = false
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? ''
    if (word === '!') {
      negated = true
    } else if (word === '-m') {
      module = words[++i] ?? ''
    } else {
      const args: string[] = []
      while (i + 1 < words.length && isArgument(words[i + 1])) args.push(words[++i] ?? '')
      const what = readMatcher(module, word, args, words)
      if (what !== undefined) tests.push({ negated, what })
      negated = false
    }
  }
  return tests
}

function isArgument(word: string | undefined): boolean {
  return word !== undefined && word !== '!' && !/^--?[a-z]/.test(word)
}

/** undefined: an option that only describes another one, or nothing that a packet could fail. */
function readMatcher(
  module: string,
  option: string,
  args: readonly string[],
  words: readonly string[],
): Matcher | undefined {
  const [first = '', second = ''] = args
  const unknown: Matcher = {
    kind: 'unknown',
    text: [module, option, ...args].filter((w) => w !== '').join(' '),
  }
  switch (option) {
    case '-s':
      return cidrMatcher('source', first) ?? unknown
    case '-d':
      return cidrMatcher('destination', first) ?? unknown
    case '-p':
      return { kind: 'protocol', name: first }
    case '-i':
      return { kind: 'inInterface', pattern: first }
    case '-o':
      return { kind: 'outInterface', pattern: first }
    case '--src-type':
      return { kind: 'sourceType', type: first }
    case '--dst-type':
      return { kind: 'destinationType', type: first }
    case '--dport':
    case '--dports':
      return { kind: 'destinationPort', ranges: first.split(',').map(readRange) }
    case '--ctorigdst':
      return cidrMatcher('originalDestination', first) ?? unknown
    case '--ctorigdstport':
      return { kind: 'originalPort', ranges: first.split(',').map(readRange) }
    case '--mark':
      return { kind: module === 'connmark' ? 'connmark' : 'mark', ...readMark(first) }
    case '--ctstate':
    case '--state':
      return { kind: 'state', names: first.split(',') }
    case '--ctstatus':
      return { kind: 'status', names: first.split(',') }
    case '--match-set':
      return { kind: 'set', name: first, directions: second }
    case '--probability':
      return { kind: 'chance', probability: Number(first) }
    case '--rcheck':
    case '--update':
      return { kind: 'recent', list: valueOf(words, '--name'), seconds: Number(valueOf(words, '--seconds')) }
    // The packet of the walk is the first of its connection, in its original direction, a SYN where it is TCP.
    case '--ctdir':
      return first === 'ORIGINAL' ? { kind: 'always' } : unknown
    case '--syn':
      return { kind: 'always' }
    case '--tcp-flags':
      return second === 'SYN' ? { kind: 'always' } : unknown
    case '--transparent':
      return module === 'socket' ? { kind: 'socket' } : unknown
    case '--comment':
    case '--nowildcard':
    case '--set':
    case '--name':
    case '--seconds':
    case '--mask':
    case '--rsource':
    case '--reap':
    case '--mode':
    case '--nfacct-name':
      return undefined
    default:
      return unknown
  }
}

function readAction(words: readonly string[]): WalkAction {
  const [how, target = '', ...options] = words
  const text = words.slice(1).join(' ')
  switch (target) {
    case 'RETURN':
      return { kind: 'return' }
    case 'ACCEPT':
      return { kind: 'accept' }
    case 'DROP':
      return { kind: 'drop' }
    case 'REJECT':
      return { kind: 'reject' }
    case 'MASQUERADE':
      return { kind: 'masquerade' }
    case 'LOG':
    case 'NFLOG':
      return { kind: 'continue' }
    case 'DNAT':
      return readDnat(valueOf(options, '--to-destination')) ?? { kind: 'unknown', text }
    case 'MARK':
    case 'CONNMARK':
      return readMarkAction(target === 'MARK' ? 'mark' : 'connmark', options) ?? { kind: 'unknown', text }
    default:
      // Targets that are not chains are upper case without a dash or a known prefix; chains decide themselves later.
      return { kind: how === '-g' ? 'goto' : 'jump', chain: target }
  }
}

function readMarkAction(kind: 'mark' | 'connmark', options: readonly string[]): WalkAction | undefined {
  const [option = '', text = ''] = options
  const { value, mask } = readMark(text)
  switch (option) {
    case '--set-xmark':
      return { kind, value, mask }
    case '--set-mark':
      return { kind, value, mask: (mask | value) >>> 0 }
    case '--or-mark':
      return { kind, value, mask: value }
    case '--xor-mark':
      return { kind, value, mask: 0 }
    case '--and-mark':
      return { kind, value: 0, mask: ~value >>> 0 }
    default:
      return undefined
  }
}

function readDnat(text: string): WalkAction | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text)
  if (match === null) return undefined
  const address = match[1] ?? match[2] ?? ''
  const ip = parseIp(address)
  if (ip === undefined && address !== '') return undefined
  return { kind: 'dnat', ip, port: match[3] === undefined ? undefined : Number(match[3]) }
}

function cidrMatcher(
  kind: 'source' | 'destination' | 'originalDestination',
  text: string,
): Matcher | undefined {
  const ip = parseIp(text)
  const cidr = ip === undefined ? parseCidr(text) : hostCidr(ip)
  return cidr === undefined ? undefined : { kind, cidr }
}

function readRange(text: string): readonly [number, number] {
  const [low = '', high = low] = text.split(':')
  return [Number(low), Number(high)]
}

function readMark(text: string): { readonly value: number; readonly mask: number } {
  const [value = '', mask = '0xffffffff'] = text.split('/')
  return { value: Number(value), mask: Number(mask) }
}

function valueOf(words: readonly string[], option: string): string {
  const at = words.indexOf(option)
  return at === -1 ? '' : (words[at + 1] ?? '')
}
