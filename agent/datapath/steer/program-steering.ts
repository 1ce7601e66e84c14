// Steering on a node without the addon: DNAT alone, which needs the datapath's NAT rules, the routes of the self-test
// from the program `ip`, and on the proxy's side `ipset` and `conntrack` in the place of netlink and socket options.

import { rmSync } from 'node:fs'

import { hasFamily } from '../../kernel/families.ts'
import type { CommandRunner } from '../../kernel/command.ts'
import { resolveProgram } from '../../kernel/programs.ts'
import { steerLinkPin } from '../../kernel/steer-maps.ts'
import { ShuntError } from '../../model/errors.ts'
import { FAMILIES, type Family } from '../../model/ip.ts'
import { SELFTEST_IPV4, SELFTEST_IPV6, STEER_RULE_PRIORITY, STEER_TABLE } from '../../model/steering-names.ts'
import type { Capability } from '../datapath.ts'
import type { SteeringKernel } from './steering.ts'

export interface ProgramSteeringOptions {
  readonly pinDir: string
  /** What loading the addon said. */
  readonly because: string
}

export function programSteering(
  runner: CommandRunner,
  { pinDir, because }: ProgramSteeringOptions,
): SteeringKernel {
  const unusable: Capability = { kind: 'unusable', because, hint: 'build the addon with `npm run build`' }

  /** Lines of `ip -batch`; with `force` a line that fails does not stop the others. */
  const ip = async (family: Family, lines: readonly string[], force = false): Promise<void> => {
    const args = [family === 'IPv4' ? '-4' : '-6', ...(force ? ['-force'] : []), '-batch', '-']
    const { exitCode, stderr } = await runner.run({ program: 'ip', args, stdin: `${lines.join('\n')}\n` })
    if (exitCode !== 0 && !force)
      throw new ShuntError('KERNEL_REFUSED', `ip could not ${lines.join(', ')}: ${stderr.trim()}`)
  }
  // An agent that had the addon may have left its program, which ends with its pin, and its rules.
  const removeSkLookup = async (): Promise<void> => {
    for (const family of FAMILIES.filter(hasFamily)) await ip(family, MARKED, true)
    rmSync(steerLinkPin(pinDir), { force: true })
  }
  const removeAll = async (): Promise<void> => {
    for (const family of FAMILIES.filter(hasFamily)) await ip(family, [`route del ${selfTest(family)}`], true)
    await removeSkLookup()
  }

  return {
    probe: () => Promise.resolve({ sk_lookup: unusable, dnat: probeDnat() }),
    read: () => Promise.resolve({ skLookup: { kind: 'absent', because }, routedFamilies: [] }),
    async prepare(mechanism) {
      if (mechanism === 'sk_lookup') throw new ShuntError('NATIVE_UNAVAILABLE', because)
      if (mechanism === 'off') return await removeAll()
      await removeSkLookup()
      for (const family of FAMILIES.filter(hasFamily)) await ip(family, [`route replace ${selfTest(family)}`])
    },
    // The datapath's sets hold the frontends; DNAT has no other list.
    add: () => Promise.resolve(),
    remove: () => Promise.resolve(),
    purge: removeAll,
  }
}

function probeDnat(): Capability {
  const missing = ['ip', 'ipset', 'conntrack'].filter((program) => resolveProgram(program) === undefined)
  return missing.length === 0
    ? { kind: 'usable', detail: 'without the addon, through ip, ipset and conntrack', families: FAMILIES }
    : {
        kind: 'unusable',
        because: `without the addon it needs ${missing.join(' and ')}`,
        hint: 'build the addon with `npm run build`, or install what is missing',
      }
}

function selfTest(family: Family): string {
  return family === 'IPv4' ? `${SELFTEST_IPV4}/32 dev lo` : `${SELFTEST_IPV6}/128 dev lo`
}

/** What policy-routing.ts makes. Priorities alone do not say whose a rule is, so each is named in full. */
const MARKED: readonly string[] = [
  `rule del priority ${STEER_RULE_PRIORITY - 2} table ${STEER_TABLE}`,
  `rule del priority ${STEER_RULE_PRIORITY - 1} goto ${STEER_RULE_PRIORITY + 1}`,
  `rule del priority ${STEER_RULE_PRIORITY} table ${STEER_TABLE}`,
  `rule del priority ${STEER_RULE_PRIORITY + 1} nop`,
  `route flush table ${STEER_TABLE}`,
]
