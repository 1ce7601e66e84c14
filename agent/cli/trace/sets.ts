// ipsets as `ipset save` prints them, and the question that rules ask of them.

import { hostPort, parseIp, type Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'

/** By set, its members as printed after `add NAME`: `10.0.0.1,tcp:80`, `31286`, `SHUNT-STEER-4 timeout 0`. */
export type Sets = ReadonlyMap<string, readonly string[]>

export function parseIpsetSave(text: string): Sets {
  const sets = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [verb, name = '', ...rest] = line.trim().split(' ')
    if (verb === 'create') sets.set(name, [])
    else if (verb === 'add') sets.get(name)?.push(rest.join(' '))
  }
  return sets
}

export function membersOf(sets: Sets, name: string): readonly string[] {
  return sets.get(name) ?? []
}

/** Whether `-m set --match-set NAME dst,dst` (or `dst` for ports) matches a TCP packet; lists ask their member sets. */
export function inSet(
  sets: Sets,
  name: string,
  destination: { readonly ip: Ip; readonly port: Port },
): boolean {
  return membersOf(sets, name).some((member) => {
    const [element = ''] = member.split(' ')
    return sets.has(element) ? inSet(sets, element, destination) : isElement(element, destination)
  })
}

/** ipset prints protocols by name, ports by number, and IPv6 addresses without brackets. */
function isElement(element: string, { ip, port }: { readonly ip: Ip; readonly port: Port }): boolean {
  if (/^\d+$/.test(element)) return Number(element) === port
  const match = /^([^,]+),(?:tcp:)?(\d+)$/.exec(element)
  const address = parseIp(match?.[1] ?? '')
  return address !== undefined && hostPort(address, Number(match?.[2])) === hostPort(ip, port)
}
