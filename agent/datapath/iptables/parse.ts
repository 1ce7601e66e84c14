// The text of iptables-save -> what is ours in it, line by line so that 50 MB of it need not be held at once. Both
// variants print our rules as we write them; what differs between versions is evened out here.

import { ShuntError } from '../../model/errors.ts'
import { FIREWALL_JUMP, isOurBaseRule, targetOf, type BaseRule } from './base-rules.ts'
import { digestOf } from './digest.ts'
import { isOurChain, KUBE_FIREWALL, TABLES, type TableName } from './names.ts'
import type { ChainKey, ReadRules } from './state.ts'

export interface SaveParser {
  /** Any piece of the text, cut anywhere. Throws a ShuntError RULES_UNKNOWN on a line that is none of iptables-save. */
  push(piece: string): void
  end(): ReadRules
}

export function parseSave(text: string): ReadRules {
  const parser = createSaveParser()
  parser.push(text)
  return parser.end()
}

/** Chains beyond `textLimit` characters are kept as digests. */
export function createSaveParser(textLimit = Infinity): SaveParser {
  const chains = new Map<ChainKey, string>()
  let textLength = 0
  const base: BaseRule[] = []
  const referenced = new Set<ChainKey>()
  let foreignFirewallRules: number | undefined
  let table: TableName | undefined
  let rest = ''

  // iptables-save prints the rules of a chain together.
  let current = ''
  let pending: string[] = []
  const finishChain = (): void => {
    if (table === undefined || pending.length === 0) return
    const key: ChainKey = `${table} ${current}`
    const lines = (chains.get(key) ?? '') + pending.join('')
    textLength += lines.length
    chains.set(key, textLength > textLimit ? digestOf(lines) : lines)
    pending = []
  }

  const takeRule = (chain: string, spec: string): void => {
    if (table === undefined) return
    const normal = normalSpec(spec)
    if (chains.has(`${table} ${chain}`)) {
      if (chain !== current) finishChain()
      current = chain
      pending.push(`-A ${chain}${normal === '' ? '' : ` ${normal}`}\n`)
    } else if (isOurBaseRule({ chain, spec: normal }) || normal === FIREWALL_JUMP)
      base.push({ table, chain, spec: normal })
    else {
      const target = targetOf(normal)
      if (target !== undefined && isOurChain(target)) referenced.add(`${table} ${target}`)
      if (table === 'filter' && chain === KUBE_FIREWALL)
        foreignFirewallRules = (foreignFirewallRules ?? 0) + 1
    }
  }

  const takeLine = (line: string): void => {
    if (line.startsWith('-A ')) {
      const end = line.indexOf(' ', 3)
      takeRule(end < 0 ? line.slice(3) : line.slice(3, end), end < 0 ? '' : line.slice(end + 1))
    } else if (line.startsWith(':')) {
      const chain = line.slice(1, line.indexOf(' '))
      if (table !== undefined && isOurChain(chain)) chains.set(`${table} ${chain}`, '')
      if (table === 'filter' && chain === KUBE_FIREWALL) foreignFirewallRules ??= 0
    } else if (line.startsWith('*')) {
      finishChain()
      table = TABLES.find((known) => line === `*${known}`)
    } else if (line.startsWith('#')) {
      if (line.includes('incompatible')) throw unknown(`iptables-save says: ${line}`)
    } else if (line !== '' && line !== 'COMMIT') throw unknown(`iptables-save printed: ${line}`)
  }

  return {
    push: (piece) => {
      const lines = (rest + piece).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) takeLine(line)
    },
    end: () => {
      takeLine(rest)
      finishChain()
      return { kind: 'read', chains, base, referenced, foreignFirewallRules }
    },
  }
}

/** Versions differ in whether a comment without spaces is quoted. */
function normalSpec(spec: string): string {
  return spec.trimEnd().replace(/--comment (?!")(\S+)/, '--comment "$1"')
}

function unknown(message: string): ShuntError {
  return new ShuntError('RULES_UNKNOWN', message)
}
