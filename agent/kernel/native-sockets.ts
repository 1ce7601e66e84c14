// Listening sockets, marks, original destinations and privileges.

import { familyOf, ipBytes, ipFromBytes, type Family } from '../model/ip.ts'
import { ShuntError } from '../model/errors.ts'
import type { RawAddon } from './native-raw.ts'
import type { Address, Capability, Fd, ListenOptions, Native, PrivilegeTarget } from './native-types.ts'
import { kernelCall } from './system-error.ts'

type Sockets = Pick<
  Native,
  'listenTcp' | 'closeFd' | 'duplicateFd' | 'setSocketMark' | 'originalDestination' | 'dropPrivileges'
>

export function nativeSockets(raw: RawAddon): Sockets {
  return {
    listenTcp: (options) => listenTcp(raw, options),
    closeFd: (fd) => kernelCall('close a socket', () => raw.closeFd(natural(fd, 'fd'))),
    duplicateFd: (fd) => kernelCall('duplicate a descriptor', () => raw.duplicateFd(natural(fd, 'fd'))),
    setSocketMark: (fd, mark) =>
      kernelCall('set the mark of a socket', () =>
        raw.setSocketMark(natural(fd, 'fd'), natural(mark, 'mark')),
      ),
    originalDestination: (fd, family) => originalDestination(raw, fd, family),
    dropPrivileges: (target) => dropPrivileges(raw, target),
  }
}

/** Numbers of linux/capability.h. */
const CAPABILITY_BITS: Readonly<Record<Capability, number>> = { NET_BIND_SERVICE: 10, NET_ADMIN: 12 }

/** An unsigned 32-bit number; anything else is a defect of the caller. */
export function natural(value: number, name: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff)
    throw new ShuntError('INTERNAL', `${name} must be an unsigned 32-bit number, is ${value}`)
  return value
}

function listenTcp(raw: RawAddon, options: ListenOptions): Fd {
  const { ip, port, backlog, transparent, reusePort, v6only } = options
  return kernelCall(`listen on ${ip} port ${port}`, () =>
    raw.listenTcp(
      ipBytes(ip),
      natural(port, 'port'),
      natural(backlog, 'backlog'),
      transparent,
      reusePort,
      v6only || familyOf(ip) === 'IPv4',
    ),
  )
}

function originalDestination(raw: RawAddon, fd: Fd, family: Family): Address | undefined {
  const bytes = kernelCall('read the original destination of a connection', () =>
    raw.originalDestination(natural(fd, 'fd'), family === 'IPv6'),
  )
  if (bytes === undefined) return undefined
  const length = bytes.length - 2
  const port = ((bytes[length] ?? 0) << 8) | (bytes[length + 1] ?? 0)
  return { ip: ipFromBytes(bytes.subarray(0, length)), port }
}

function dropPrivileges(raw: RawAddon, target: PrivilegeTarget): void {
  const mask = target.keepCapabilities.reduce((bits, name) => bits | (1 << CAPABILITY_BITS[name]), 0)
  kernelCall(`become user ${target.uid} and group ${target.gid}`, () =>
    raw.dropPrivileges(natural(target.uid, 'uid'), natural(target.gid, 'gid'), mask),
  )
}
