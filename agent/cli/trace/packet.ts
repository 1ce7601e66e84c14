// What `shunt trace` is asked about, read from its arguments.

import { ShuntError } from '../../model/errors.ts'
import { familyOf, parseIp, type Ip } from '../../model/ip.ts'
import { isPort, PROTOCOLS, type Port } from '../../model/port.ts'
import type { Packet } from '../../plan/packet.ts'

export interface PacketQuestion {
  /** An address. */
  readonly source: string
  /** `10.0.0.1:80` or `[fd00::1]:80`. */
  readonly destination: string
  readonly protocol: string
  /** undefined: the packet of a process of the node if the source is its address, else of an unnamed interface. */
  readonly inInterface: string | undefined
}

/** Stands for an interface whose name nobody gave; no rule that asks for a name matches it. */
export const UNNAMED_INTERFACE = '?'

/** Throws USAGE. */
export function readPacket(question: PacketQuestion, localAddresses: ReadonlySet<Ip>): Packet {
  const source = parseIp(question.source)
  if (source === undefined)
    throw new ShuntError('USAGE', `source ${question.source} is not an address`, {
      hint: 'give the address of the client: names of Pods are not known here',
    })
  const { ip, port } = readDestination(question.destination)
  if (familyOf(source) !== familyOf(ip))
    throw new ShuntError('USAGE', `source ${source} and destination ${ip} are of different families`)
  const protocol = PROTOCOLS.find((name) => name === question.protocol.toUpperCase())
  if (protocol === undefined)
    throw new ShuntError('USAGE', `protocol ${question.protocol} is unknown`, {
      hint: 'one of tcp, udp, sctp',
    })
  const inInterface = question.inInterface ?? (localAddresses.has(source) ? '' : UNNAMED_INTERFACE)
  return { source, destination: ip, port, protocol, inInterface }
}

function readDestination(text: string): { readonly ip: Ip; readonly port: Port } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const ip = parseIp(match?.[1] ?? match?.[2] ?? '')
  const port = Number(match?.[3])
  if (ip === undefined || !isPort(port))
    throw new ShuntError('USAGE', `destination ${text} is not an address and port`, {
      hint: 'write 10.96.0.10:53 or [fd00::10]:53; names are not resolved',
    })
  return { ip, port }
}
