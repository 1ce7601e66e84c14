// Can the rules of steering work here? They need ipset and some matches that not every kernel has; one that is missing
// would fail the whole restore, and with it every Service, so it is asked for before steering is switched on.

import type { CommandRunner } from '../../kernel/command.ts'
import { ShuntError } from '../../model/errors.ts'
import type { Family } from '../../model/ip.ts'
import type { Capability, SteeringCapability } from '../datapath.ts'
import { toolName, type ToolVariant } from './tools.ts'

/** Changes nothing: `--test` parses the rules and asks the kernel for each match, but commits none. */
export async function probeSteeringRules(
  runner: CommandRunner,
  variant: ToolVariant,
  families: readonly Family[],
): Promise<SteeringCapability> {
  const sets = await failureOf(runner, { program: 'ipset', args: ['list', '-n'] })
  if (sets !== undefined) {
    const capability = unusable(
      `ipset does not work: ${sets}`,
      'install the package ipset; the kernel needs ip_set',
    )
    return { sk_lookup: capability, dnat: capability }
  }
  const test = async (text: string, hint: string): Promise<Capability> => {
    for (const family of families) {
      const program = toolName(family, variant, '-restore')
      const failure = await failureOf(runner, {
        program,
        args: ['--noflush', '--test', '--wait', '5'],
        stdin: text,
      })
      if (failure !== undefined) return unusable(`${family}: ${failure}`, hint)
    }
    return { kind: 'usable', detail: 'ipset and all matches work', families }
  }
  const dnat = await test(
    COMMON,
    'the kernel needs the matches connmark and conntrack and the target CONNMARK',
  )
  if (dnat.kind === 'unusable') return { sk_lookup: dnat, dnat }
  return { sk_lookup: await test(SOCKET, 'the kernel needs the match socket (xt_socket)'), dnat }
}

const COMMON = `*mangle
:SHUNT-PROBE - [0:0]
-A SHUNT-PROBE -m connmark --mark 0x1/0x1 -m conntrack --ctdir ORIGINAL -j MARK --set-xmark 0x1/0x1
-A SHUNT-PROBE -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW ! --ctstatus CONFIRMED -j RETURN
-A SHUNT-PROBE -j CONNMARK --set-xmark 0x1/0x1
COMMIT
`

const SOCKET = `*mangle
:SHUNT-PROBE - [0:0]
-A SHUNT-PROBE -p tcp -m socket --transparent --nowildcard -j RETURN
COMMIT
`

/** undefined: exit code 0. */
async function failureOf(
  runner: CommandRunner,
  command: Parameters<CommandRunner['run']>[0],
): Promise<string | undefined> {
  try {
    const { exitCode, stderr } = await runner.run(command)
    return exitCode === 0 ? undefined : stderr.trim().replaceAll('\n', ' ')
  } catch (error) {
    if (error instanceof ShuntError) return error.message
    throw error
  }
}

function unusable(because: string, hint: string): Capability {
  return { kind: 'unusable', because, hint }
}
