// Which of the two kinds of iptables this node uses. Rules of both would be in force at once, so the choice must be
// everybody else's: kubelet's hint chains first, then the kind that has more rules, as the distributions' wrapper does.

import { FAMILIES, type Family } from '../../model/ip.ts'
import type { CommandRunner } from '../../kernel/command.ts'
import { ShuntError } from '../../model/errors.ts'
import { toolName, type ToolVariant } from './tools.ts'

export interface VariantChoice {
  readonly variant: ToolVariant
  /** A sentence for `shunt check`. */
  readonly because: string
}

const HINT = /^:KUBE-(?:IPTABLES-HINT|KUBELET-CANARY) /m

export async function chooseVariant(runner: CommandRunner, signal?: AbortSignal): Promise<VariantChoice> {
  const found = new Map<'nft' | 'legacy', { hint: boolean; rules: number }>()
  for (const variant of ['nft', 'legacy'] as const) {
    // All tables of nft, but never `-t` with legacy: asking for a table by name would make the kernel create it.
    const texts: string[] = []
    for (const family of FAMILIES) {
      const text = await savedText(runner, family, variant, signal)
      if (text !== undefined) texts.push(text)
    }
    if (texts.length === 0) continue
    const all = texts.join('')
    found.set(variant, { hint: HINT.test(all), rules: all.match(/^-/gm)?.length ?? 0 })
  }
  const [nft, legacy] = [found.get('nft'), found.get('legacy')]
  if (nft === undefined && legacy === undefined)
    return { variant: 'default', because: 'only the plain iptables programs are installed' }
  if (nft === undefined) return { variant: 'legacy', because: 'only the legacy programs work' }
  if (legacy === undefined) return { variant: 'nft', because: 'only the nft programs work' }
  if (nft.hint) return { variant: 'nft', because: "kubelet's chains are in the nft tables" }
  if (legacy.hint) return { variant: 'legacy', because: "kubelet's chains are in the legacy tables" }
  const counts = `${nft.rules} rules in nft, ${legacy.rules} in legacy`
  if (legacy.rules > nft.rules) return { variant: 'legacy', because: counts }
  if (nft.rules > 0) return { variant: 'nft', because: counts }
  const byDefault = await defaultVariant(runner, signal)
  return { variant: byDefault, because: 'there are no rules yet; the default programs are of this kind' }
}

/** undefined: the program is missing or the kernel does not have its tables. */
async function savedText(
  runner: CommandRunner,
  family: Family,
  variant: ToolVariant,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    const { exitCode, stdout } = await runner.run(
      { program: toolName(family, variant, '-save'), args: [] },
      signal,
    )
    return exitCode === 0 ? stdout : undefined
  } catch (error) {
    if (error instanceof ShuntError && error.code === 'PROGRAM_MISSING') return undefined
    throw error
  }
}

async function defaultVariant(
  runner: CommandRunner,
  signal: AbortSignal | undefined,
): Promise<'nft' | 'legacy'> {
  const version = await iptablesVersion(runner, 'default', signal)
  return version?.backend === 'legacy' ? 'legacy' : 'nft'
}

export interface IptablesVersion {
  /** `1.8.9`. */
  readonly text: string
  readonly numbers: readonly number[]
  /** Versions before 1.8 do not say: they are legacy. */
  readonly backend: 'nft' | 'legacy'
}

/** undefined: not installed, or it does not say. */
export async function iptablesVersion(
  runner: CommandRunner,
  variant: ToolVariant,
  signal?: AbortSignal,
): Promise<IptablesVersion | undefined> {
  try {
    const { stdout } = await runner.run(
      { program: toolName('IPv4', variant, ''), args: ['--version'] },
      signal,
    )
    const match = /v(\d+(?:\.\d+)+)(.*)/.exec(stdout)
    if (match?.[1] === undefined) return undefined
    const numbers = match[1].split('.').map(Number)
    return { text: match[1], numbers, backend: match[2]?.includes('nf_tables') ? 'nft' : 'legacy' }
  } catch (error) {
    if (error instanceof ShuntError && error.code === 'PROGRAM_MISSING') return undefined
    throw error
  }
}

/** Row 60: `--random-fully` came with 1.6.2. */
export function knowsRandomFully({ numbers }: IptablesVersion): boolean {
  const wanted = [1, 6, 2]
  for (const [i, part] of wanted.entries()) {
    const own = numbers[i] ?? 0
    if (own !== part) return own > part
  }
  return true
}
