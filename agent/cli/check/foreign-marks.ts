// Rules of others that read or write the mark bits that Shunt uses. Both sides would misread each other's packets, and
// nothing but a look at the rules shows it.

import { isOurChain } from '../../datapath/iptables/names.ts'
import { splitWords } from '../../datapath/iptables/walk-rule.ts'
import { STEER_MARK_MASK, STEER_RULE_PRIORITY } from '../../model/steering-names.ts'

/** kube-proxy's masquerade bit, which Shunt uses as kube-proxy does. */
const MASQUERADE_BIT = 0x4000

export interface MarkConflict {
  /** The rule, as its program prints it. */
  readonly rule: string
  /** Bits of ours that it touches. */
  readonly bits: number
  readonly writes: boolean
}

/** `text` is the output of iptables-save. */
export function conflictsInRules(text: string): readonly MarkConflict[] {
  return text.split('\n').flatMap((line) => {
    if (!line.startsWith('-A ') || !line.includes('mark')) return []
    const words = splitWords(line)
    const chain = words[1] ?? ''
    // Chains of kube-proxy and kubelet mean the same bits as we do.
    if (isOurChain(chain) || chain.startsWith('KUBE-')) return []
    return marksOf(words).flatMap(({ mask, writes }) => conflict(line, mask, writes))
  })
}

/** `line` is one of `ip rule`. */
export function conflictsInIpRule(line: string): readonly MarkConflict[] {
  const priority = Number(line.split(':')[0])
  // Ours are those from two before to one after the priority.
  if (Math.abs(priority - STEER_RULE_PRIORITY) <= 2) return []
  const found = /fwmark (0x[0-9a-f]+)(?:\/(0x[0-9a-f]+))?/.exec(line)
  if (found === null) return []
  return conflict(line.trim(), Number(found[2] ?? '0xffffffff'), false)
}

interface MarkUse {
  readonly mask: number
  readonly writes: boolean
}

function marksOf(words: readonly string[]): readonly MarkUse[] {
  return words.flatMap((word, i): readonly MarkUse[] => {
    const argument = words[i + 1] ?? ''
    const [value = 0, mask = 0xffffffff] = argument.split('/').map(Number)
    switch (word) {
      case '--mark':
        return [{ mask, writes: false }]
      case '--set-mark':
      case '--set-xmark':
        // Bits of the value outside of the mask are toggled, so they count too.
        return [{ mask: (mask | value) >>> 0, writes: true }]
      case '--or-mark':
      case '--xor-mark':
        return [{ mask: value, writes: true }]
      case '--and-mark':
        return [{ mask: ~value >>> 0, writes: true }]
      case '--restore-mark':
      case '--save-mark':
        return [{ mask: maskAfter(words, i, '--ctmask') & maskAfter(words, i, '--nfmask'), writes: true }]
      default:
        return []
    }
  })
}

function maskAfter(words: readonly string[], from: number, option: string): number {
  const at = words.indexOf(option, from)
  const both = words.indexOf('--mask', from)
  const text = at !== -1 ? words[at + 1] : both !== -1 ? words[both + 1] : undefined
  return text === undefined ? 0xffffffff : Number(text)
}

function conflict(rule: string, mask: number, writes: boolean): readonly MarkConflict[] {
  const bits = (mask & (STEER_MARK_MASK | MASQUERADE_BIT)) >>> 0
  return bits === 0 ? [] : [{ rule, bits, writes }]
}
