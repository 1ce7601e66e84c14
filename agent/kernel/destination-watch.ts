// Where DNATed connections were going, without the addon: `conntrack -E` tells of each new one before its handshake is
// over. It is started as root and stays root. Node cannot ask the socket (SO_ORIGINAL_DST).

import { parseIp, type Ip } from '../model/ip.ts'
import { isPort, type Port } from '../model/port.ts'
import { startLastingProgram } from './lasting-program.ts'
import type { Address } from './native-types.ts'

export interface DestinationWatch {
  /** What the client of an accepted connection dialled; undefined: nobody told within the time. Each is told once. */
  find(client: Address): Promise<Address | undefined>
  /** undefined: it watches. */
  readonly problem: string | undefined
  close(): void
}

/** Told and never asked for: connections that were reset before they were accepted. */
const MAX_REMEMBERED = 20_000

/** Throws PROGRAM_MISSING. */
export function watchDestinations(proxyPort: Port, { patienceMs = 500 } = {}): DestinationWatch {
  const args = ['-E', '-e', 'NEW', '-p', 'tcp', '--reply-port-src', String(proxyPort)]
  const told = new Map<string, Address>()
  const asking = new Map<string, (destination: Address | undefined) => void>()
  const hear = (line: string): void => {
    const event = readEvent(line)
    if (event === undefined) return
    const key = keyOf(event.client)
    const ask = asking.get(key)
    if (ask !== undefined) ask(event.destination)
    else remember(told, key, event.destination)
  }
  const conntrack = startLastingProgram('conntrack', args, { stdout: hear }, 'signal')

  return {
    find(client) {
      const key = keyOf(client)
      const known = told.get(key)
      told.delete(key)
      if (known !== undefined || conntrack.problem !== undefined) return Promise.resolve(known)
      return new Promise((resolve) => {
        const finish = (destination: Address | undefined): void => {
          clearTimeout(timer)
          asking.delete(key)
          resolve(destination)
        }
        const timer = setTimeout(finish, patienceMs, undefined)
        asking.set(key, finish)
      })
    },
    get problem() {
      return conntrack.problem
    },
    close: () => conntrack.close(),
  }
}

/**
 * `[NEW] tcp 6 120 SYN_SENT src=C dst=VIP sport=P dport=80 [UNREPLIED] src=NODE dst=C sport=15001 dport=P`: the second
 * tuple is what the proxy sees, the first what the client dialled.
 */
export function readEvent(
  line: string,
): { readonly client: Address; readonly destination: Address } | undefined {
  const tuples = [...line.matchAll(/src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g)]
  const [original, reply] = tuples
  const destination = address(original?.[2], original?.[4])
  const client = address(reply?.[2], reply?.[4])
  return destination === undefined || client === undefined ? undefined : { client, destination }
}

function address(ipText = '', portText = ''): Address | undefined {
  const ip: Ip | undefined = parseIp(ipText)
  const port = Number(portText)
  return ip !== undefined && isPort(port) ? { ip, port } : undefined
}

function remember(told: Map<string, Address>, key: string, destination: Address): void {
  told.delete(key)
  told.set(key, destination)
  if (told.size <= MAX_REMEMBERED) return
  const [oldest] = told.keys()
  if (oldest !== undefined) told.delete(oldest)
}

function keyOf({ ip, port }: Address): string {
  return `${ip}|${port}`
}
