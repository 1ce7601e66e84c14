// The host name in a server_name extension (RFC 6066 section 3): a list of names of which one may be a host name.

import { parseIp } from '../../../model/ip.ts'
import { byteReader } from './byte-reader.ts'

export type ServerName =
  /** undefined: it has names, none of them a host's. */
  | { readonly kind: 'read'; readonly name: string | undefined }
  | { readonly kind: 'malformed'; readonly because: string }

const HOST_NAME = 0
/** RFC 1035, as text without the dot at the end. */
const MAX_NAME_LENGTH = 253
/**
 * Letters of any script come as `xn--` labels, which are compared as they are. The underscore is not in RFC 1123, but
 * in names that are in use.
 */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

/** `content`: what the extension holds. */
export function serverNameOf(content: Uint8Array): ServerName {
  const reader = byteReader(content)
  const list = byteReader(reader.bytes(reader.uint16()))
  if (reader.overrun() || reader.left() > 0 || list.left() === 0)
    return malformed('its list of server names has the wrong length')
  let name: string | undefined
  while (list.left() > 0) {
    const type = list.uint8()
    const bytes = list.bytes(list.uint16())
    if (list.overrun()) return malformed('a server name ends behind the list of server names')
    if (type !== HOST_NAME) continue
    // The endpoint might believe the other one.
    if (name !== undefined) return malformed('it names two hosts')
    const read = hostName(bytes)
    if (read.kind === 'malformed') return read
    name = read.name
  }
  return { kind: 'read', name }
}

function hostName(bytes: Uint8Array): ServerName {
  if (bytes.length > MAX_NAME_LENGTH + 1) return malformed(`its server name has ${bytes.length} bytes`)
  const given = String.fromCharCode(...bytes)
  const name = given.toLowerCase().replace(/\.$/, '')
  if (name.length > MAX_NAME_LENGTH || !name.split('.').every((label) => LABEL.test(label)))
    return malformed(`its server name ${JSON.stringify(given)} is not a host name`)
  return parseIp(name) === undefined
    ? { kind: 'read', name }
    : malformed(`its server name ${name} is an address, which RFC 6066 forbids`)
}

function malformed(because: string): ServerName {
  return { kind: 'malformed', because }
}
