// The pinned BPF maps of the steering program, which agent and proxy share. Shapes as in native/bpf/maps.h.

import { existsSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'

import { familyOf, ipBytes, ipFromBytes, type Family, type Ip } from '../model/ip.ts'
import type { Port } from '../model/port.ts'
import { ensurePinFolder } from './bpffs.ts'
import { STEER_OBJECT_PATH } from './native.ts'
import type { BpfMapSpec, Fd, NativeBpf } from './native-types.ts'
import { closeAll } from './close-all.ts'

export const STEER_KEY_BYTES = 20
export const STEER_MAX_FRONTENDS = 65_536

/** Slots of steer_listeners. */
export const LISTENER_SLOT: Readonly<Record<Family, number>> = { IPv4: 0, IPv6: 1 }

/** ip undefined: the port on every local address. */
export interface SteerMapKey {
  readonly ip: Ip | undefined
  readonly port: Port
}

export interface SteerMaps {
  readonly frontends: Fd
  readonly listeners: Fd
  readonly counters: Fd
}

/**
 * Runs with the maps open, making and pinning them where they are not yet, and closes them. `fresh`: some map is new, so
 * that a program that is attached already does not know it.
 */
export function withSteerMaps<T>(
  native: { readonly bpf: NativeBpf; closeFd(fd: Fd): void },
  pinDir: string,
  use: (maps: SteerMaps, fresh: boolean) => T,
): T {
  ensurePinFolder(native.bpf, pinDir)
  const fresh = !Object.keys(SHAPES).every((name) => existsSync(path.join(pinDir, name)))
  return closeAll(native, (own) => {
    const open = (name: keyof typeof SHAPES): Fd => own(native.bpf.openMap(spec(pinDir, name)))
    const maps = {
      frontends: open('steer_frontends'),
      listeners: open('steer_listeners'),
      counters: open('steer_counters'),
    }
    return use(maps, fresh)
  })
}

/** Runs with the maps if all of them are pinned; makes nothing. undefined: some are not. */
export function withPinnedSteerMaps<T>(
  native: { readonly bpf: NativeBpf; closeFd(fd: Fd): void },
  pinDir: string,
  use: (maps: SteerMaps) => T,
): T | undefined {
  return closeAll(native, (own) => {
    const open = (name: keyof typeof SHAPES): Fd | undefined => {
      const fd = native.bpf.openPin(path.join(pinDir, name))
      return fd === undefined ? undefined : own(fd)
    }
    const [frontends, listeners, counters] = [
      open('steer_frontends'),
      open('steer_listeners'),
      open('steer_counters'),
    ]
    if (frontends === undefined || listeners === undefined || counters === undefined) return undefined
    return use({ frontends, listeners, counters })
  })
}

/** Loads the program onto the maps and attaches it to this network namespace, or replaces the program there. */
export function attachSteering(bpf: NativeBpf, pinDir: string, maps: SteerMaps): void {
  bpf.attachSkLookup({
    object: STEER_OBJECT_PATH,
    linkPin: steerLinkPin(pinDir),
    maps: { steer_frontends: maps.frontends, steer_listeners: maps.listeners, steer_counters: maps.counters },
  })
}

/** True if a program of ours is attached to the network namespace of this thread. */
export function isSteeringAttached(bpf: NativeBpf, pinDir: string): boolean {
  return bpf.linkNamespace(steerLinkPin(pinDir))?.netnsInode === statSync('/proc/thread-self/ns/net').ino
}

export function steerLinkPin(pinDir: string): string {
  return path.join(pinDir, 'steer_link')
}

export function encodeSteerKey(key: SteerMapKey): Uint8Array {
  const bytes = new Uint8Array(STEER_KEY_BYTES)
  if (key.ip !== undefined) {
    if (familyOf(key.ip) === 'IPv4') bytes.set([0xff, 0xff], 10)
    const address = ipBytes(key.ip)
    bytes.set(address, 16 - address.length)
  }
  bytes[16] = key.port >> 8
  bytes[17] = key.port & 0xff
  return bytes
}

export function decodeSteerKey(bytes: Uint8Array): SteerMapKey {
  const address = bytes.subarray(0, 16)
  const port = ((bytes[16] ?? 0) << 8) | (bytes[17] ?? 0)
  return { ip: address.every((byte) => byte === 0) ? undefined : ipFromBytes(address), port }
}

/** Sums a counter over the CPUs. Index: STEER_COUNT_* of maps.h. */
export function readSteerCounter(bpf: NativeBpf, counters: Fd, index: number): number {
  const key = new Uint8Array(4)
  key[0] = index
  const values = bpf.mapLookup(counters, key, 8 * possibleCpus())
  if (values === undefined) return 0
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength)
  let sum = 0n
  for (let at = 0; at < values.length; at += 8) sum += view.getBigUint64(at, true)
  return Number(sum)
}

const SHAPES = {
  steer_frontends: {
    kind: 'hash',
    keySizeBytes: STEER_KEY_BYTES,
    valueSizeBytes: 1,
    maxEntries: STEER_MAX_FRONTENDS,
  },
  steer_listeners: { kind: 'sockmap', keySizeBytes: 4, valueSizeBytes: 8, maxEntries: 2 },
  steer_counters: { kind: 'percpu_array', keySizeBytes: 4, valueSizeBytes: 8, maxEntries: 2 },
} as const satisfies Record<string, Omit<BpfMapSpec, 'pin' | 'name'>>

function spec(pinDir: string, name: keyof typeof SHAPES): BpfMapSpec {
  return { pin: path.join(pinDir, name), name, ...SHAPES[name] }
}

/** The kernel writes one value for each CPU that could ever be plugged in: `0-3` or `0,2-5`. */
function possibleCpus(): number {
  const ranges = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim().split(',')
  const last = ranges.at(-1)?.split('-').at(-1)
  return Number(last ?? 0) + 1
}
