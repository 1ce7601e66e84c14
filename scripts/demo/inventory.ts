// What Shunt could leave behind on a node: rules, sets, policy routes, pinned BPF objects. Taken before and after.

import type { Lab } from '../../test/support/lab/lab.ts'

const COMMANDS: readonly (readonly string[])[] = [
  ['/usr/sbin/iptables-save'],
  ['/usr/sbin/ip6tables-save'],
  ['/usr/sbin/ipset', 'save'],
  ['/usr/sbin/ip', 'rule'],
  ['/usr/sbin/ip', '-6', 'rule'],
  ['/usr/sbin/ip', 'route', 'show', 'table', 'all'],
  ['/usr/bin/find', '/sys/fs/bpf', '/run/shunt', '/var/lib/shunt'],
]

/** One text; equal texts mean that nothing of ours is there that was not there before. */
export async function inventory(lab: Lab, node: string): Promise<string> {
  const parts: string[] = []
  for (const argv of COMMANDS) {
    const ran = await lab.exec(node, argv, { mayFail: true })
    parts.push(`$ ${argv.join(' ')}\n${normal(ran.stdout)}`)
  }
  return parts.join('\n')
}

/** Lines of one that the other lacks. */
export function difference(before: string, after: string): readonly string[] {
  const a = new Set(before.split('\n'))
  const b = new Set(after.split('\n'))
  return [
    ...[...a].filter((line) => !b.has(line)).map((line) => `- ${line}`),
    ...[...b].filter((line) => !a.has(line)).map((line) => `+ ${line}`),
  ]
}

/** Without counters and time stamps, and without tables that hold nothing but their empty built-in chains. */
function normal(text: string): string {
  const tables = text.split(/^(?=\*)/m).map((table) =>
    table
      .split('\n')
      .filter((line) => !line.startsWith('#') && line !== '')
      .map((line) => line.replace(/ \[[0-9]+:[0-9]+\]$/, '').trimEnd())
      .filter((line) => !/^(fe80|ff00|local|multicast|anycast)/.test(line)),
  )
  const isEmpty = (table: readonly string[]): boolean =>
    (table[0] ?? '').startsWith('*') &&
    table.every((line) => line.startsWith('*') || line === 'COMMIT' || line.endsWith(' ACCEPT'))
  return tables
    .filter((table) => !isEmpty(table))
    .flat()
    .join('\n')
}
