import test from 'ava'
import type { Socket } from 'node:net'
import { streamDestination } from '#agent/proxy/engine/stream-destination.ts'
import { ip } from '../views.ts'

const socket = (localAddress: string | undefined, localPort: number | undefined): Socket =>
  ({ localAddress, localPort }) as Socket
const never = (): never => {
  throw new Error('conntrack was asked')
}

test('sk_lookup: the address of the socket, and conntrack is not asked', (t) => {
  const of = streamDestination(15001, never)
  t.deepEqual(of(socket('10.96.0.10', 80)), { ip: ip('10.96.0.10'), port: 80 })
  t.deepEqual(of(socket('::ffff:10.96.0.10', 80)), { ip: ip('10.96.0.10'), port: 80 })
  t.deepEqual(of(socket('fe80::1%eth0', 80)), { ip: ip('fe80::1'), port: 80 })
  t.deepEqual(of(socket('fd00:96::10', 80)), { ip: ip('fd00:96::10'), port: 80 })
})

test('DNAT: what conntrack knows', (t) => {
  const of = streamDestination(15001, () => ({ ip: ip('10.96.0.10'), port: 80 }))
  t.deepEqual(of(socket('192.168.0.10', 15001)), { ip: ip('10.96.0.10'), port: 80 })
})

test('dialled directly: conntrack knows nothing, the proxy itself is the destination', (t) => {
  const of = streamDestination(15001, () => undefined)
  t.deepEqual(of(socket('192.168.0.10', 15001)), { ip: ip('192.168.0.10'), port: 15001 })
})

test('a socket that is gone, or a kernel that fails, has no destination', (t) => {
  t.is(streamDestination(15001, never)(socket(undefined, undefined)), undefined)
  t.is(streamDestination(15001, never)(socket('192.168.0.10', 15001)), undefined)
})
