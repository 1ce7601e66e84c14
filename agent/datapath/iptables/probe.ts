// Can this node do it? Programs, version, the matches and targets that our rules use, families. `iptables-restore
// --test` parses a text with all of them and asks the kernel for their revisions, but commits nothing.

import { FAMILIES, type Family } from '../../model/ip.ts'
import type { CommandRunner } from '../../kernel/command.ts'
import { ShuntError } from '../../model/errors.ts'
import type { Capability } from '../datapath.ts'
import { toolName, type ToolVariant } from './tools.ts'
import { iptablesVersion, knowsRandomFully } from './variant.ts'

export async function probeIptables(
  runner: CommandRunner,
  variant: ToolVariant,
  because: string,
): Promise<Capability> {
  const version = await iptablesVersion(runner, variant)
  if (version === undefined)
    return unusable(`${toolName('IPv4', variant, '')} is not installed`, 'install the package iptables')
  if (!knowsRandomFully(version))
    return unusable(
      `iptables ${version.text} is too old: it does not know --random-fully`,
      'install iptables 1.6.2 or newer',
    )
  const failures: string[] = []
  const families: Family[] = []
  for (const family of FAMILIES) {
    const failure = await tryFamily(runner, family, variant)
    if (failure === undefined) families.push(family)
    else failures.push(`${family}: ${failure}`)
  }
  if (families.length === 0)
    return unusable(
      failures.join('; '),
      'run as root with NET_ADMIN; the kernel needs the nat table and the matches comment, conntrack, mark, ' +
        'addrtype, statistic, recent',
    )
  const detail = [`iptables ${version.text} (${version.backend}: ${because})`, ...failures].join('; ')
  return { kind: 'usable', detail, families }
}

/** undefined: usable; otherwise why not. */
async function tryFamily(
  runner: CommandRunner,
  family: Family,
  variant: ToolVariant,
): Promise<string | undefined> {
  try {
    const { exitCode, stderr } = await runner.run({
      program: toolName(family, variant, '-restore'),
      args: ['--noflush', '--test', '--wait', '5'],
      stdin: PROBE_TEXT,
    })
    return exitCode === 0 ? undefined : stderr.trim().replaceAll('\n', ' ')
  } catch (error) {
    if (error instanceof ShuntError) return error.message
    throw error
  }
}

/** One rule for every match and target that a rendered rule may have, except ipset: its sets do not exist yet. */
const PROBE_TEXT = `*nat
:SHUNT-PROBE - [0:0]
-A SHUNT-PROBE -m comment --comment "probe" -m addrtype --src-type LOCAL -j RETURN
-A SHUNT-PROBE -m statistic --mode random --probability 0.50000000000 -j RETURN
-A SHUNT-PROBE -m recent --rcheck --seconds 10 --reap --name SHUNT-PROBE --rsource -j RETURN
-A SHUNT-PROBE -m mark --mark 0x4000/0x4000 -j MARK --set-xmark 0x4000/0x0
-A SHUNT-PROBE -p tcp -m tcp --dport 1 -m conntrack --ctstate NEW -j RETURN
-A SHUNT-PROBE -p udp -m udp --dport 1 -j RETURN
-A SHUNT-PROBE -j MASQUERADE --random-fully
COMMIT
*filter
:SHUNT-PROBE - [0:0]
-A SHUNT-PROBE -j REJECT
COMMIT
`

function unusable(because: string, hint: string): Capability {
  return { kind: 'unusable', because, hint }
}
