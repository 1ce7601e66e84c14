// SteeringKernel over the addon: the BPF program with its pinned maps, and policy routing.

import { existsSync, rmSync } from 'node:fs'

import { messageOf } from '../../model/errors.ts'
import { FAMILIES, type Ip } from '../../model/ip.ts'
import { SELFTEST_IPV4, SELFTEST_IPV6, SELFTEST_PORT } from '../../model/steering-names.ts'
import { removePinFolder } from '../../kernel/bpffs.ts'
import { hasFamily } from '../../kernel/families.ts'
import { STEER_OBJECT_PATH } from '../../kernel/native.ts'
import type { Native } from '../../kernel/native-types.ts'
import { routing } from '../../kernel/routing.ts'
import {
  attachSteering,
  decodeSteerKey,
  encodeSteerKey,
  isSteeringAttached,
  LISTENER_SLOT,
  readSteerCounter,
  STEER_KEY_BYTES,
  STEER_MAX_FRONTENDS,
  steerLinkPin,
  withPinnedSteerMaps,
  withSteerMaps,
} from '../../kernel/steer-maps.ts'
import { policyRouting, type PolicyRouting } from './policy-routing.ts'
import type { Capability } from '../datapath.ts'
import type { SkLookupState, SteeringKernel, SteerKey } from './steering.ts'

/** `pinDir`: see config/paths.ts. Acts on the network namespace of the calling thread. */
export function kernelSteering(native: Native, { pinDir }: { readonly pinDir: string }): SteeringKernel {
  // The first prepare() of a process also replaces a program that an older version attached.
  let renewed = false

  return {
    probe: () => Promise.resolve({ sk_lookup: probeSkLookup(native), dnat: DNAT }),

    prepare: asynchronously((mechanism) => {
      const families = FAMILIES.filter(hasFamily)
      withRouting(native, (routes) => {
        if (mechanism === 'off') {
          routes.removeSelfTest()
          routes.removeMarked()
          detach(native, pinDir)
          return
        }
        routes.ensureSelfTest(families)
        if (mechanism === 'dnat') {
          routes.removeMarked()
          detach(native, pinDir)
          return
        }
        withSteerMaps(native, pinDir, (maps, fresh) => {
          for (const key of SELFTEST_KEYS) native.bpf.mapUpdate(maps.frontends, encodeSteerKey(key), PRESENT)
          if (fresh || !renewed || !isSteeringAttached(native.bpf, pinDir))
            attachSteering(native.bpf, pinDir, maps)
        })
        renewed = true
        routes.ensureMarked(families)
      })
    }),

    read: () =>
      Promise.resolve().then(() => ({
        skLookup: readSkLookup(native, pinDir),
        routedFamilies: withRouting(native, (routes) => routes.complete(FAMILIES.filter(hasFamily))),
      })),

    add: asynchronously((keys) => {
      if (keys.length === 0 || !existsSync(steerLinkPin(pinDir))) return
      withSteerMaps(native, pinDir, ({ frontends }) => {
        for (const key of keys) native.bpf.mapUpdate(frontends, encodeSteerKey(key), PRESENT)
      })
    }),

    remove: asynchronously((keys) => {
      if (keys.length === 0 || !existsSync(steerLinkPin(pinDir))) return
      withSteerMaps(native, pinDir, ({ frontends }) => {
        for (const key of keys) native.bpf.mapDelete(frontends, encodeSteerKey(key))
      })
    }),

    purge: asynchronously(() => {
      withRouting(native, (routes) => {
        routes.removeSelfTest()
        routes.removeMarked()
      })
      removePinFolder(native.bpf, pinDir)
    }),
  }
}

/**
 * Ends the program, and nothing is steered by it any more. The maps stay: the proxy's listeners are in them, and it puts
 * them there only at its start, so that sk_lookup could not be tried again without a new proxy.
 */
function detach(native: Native, pinDir: string): void {
  rmSync(steerLinkPin(pinDir), { force: true })
  if (!existsSync(pinDir)) return
  withSteerMaps(native, pinDir, ({ frontends }) => {
    const bytes = native.bpf.mapKeys(frontends, STEER_KEY_BYTES, STEER_MAX_FRONTENDS)
    for (let at = 0; at < bytes.length; at += STEER_KEY_BYTES)
      native.bpf.mapDelete(frontends, bytes.subarray(at, at + STEER_KEY_BYTES))
  })
}

/** The map is used as a set. */
const PRESENT = Uint8Array.of(1)

const SELFTEST_KEYS: readonly SteerKey[] = [SELFTEST_IPV4, SELFTEST_IPV6].map((ip) => ({
  ip: ip as Ip,
  port: SELFTEST_PORT,
}))

const DNAT: Capability = {
  kind: 'usable',
  detail: 'needs nothing but the NAT rules of the datapath',
  families: FAMILIES,
}

function probeSkLookup(native: Native): Capability {
  try {
    native.bpf.tryLoad(STEER_OBJECT_PATH)
    return { kind: 'usable', detail: 'the sk_lookup program loads', families: FAMILIES.filter(hasFamily) }
  } catch (error) {
    return {
      kind: 'unusable',
      because: messageOf(error),
      hint: 'needs Linux 5.9 or newer, CAP_BPF (or CAP_SYS_ADMIN), and the BPF objects of `npm run build`',
    }
  }
}

function readSkLookup(native: Native, pinDir: string): SkLookupState {
  if (!existsSync(steerLinkPin(pinDir))) return { kind: 'absent', because: 'no program is pinned' }
  if (!isSteeringAttached(native.bpf, pinDir))
    return { kind: 'absent', because: 'the pinned program belongs to another network namespace' }
  const read = withPinnedSteerMaps(native, pinDir, ({ frontends, listeners, counters }): SkLookupState => {
    const bytes = native.bpf.mapKeys(frontends, STEER_KEY_BYTES, STEER_MAX_FRONTENDS)
    const keys: SteerKey[] = []
    for (let at = 0; at < bytes.length; at += STEER_KEY_BYTES) {
      const key = decodeSteerKey(bytes.subarray(at, at + STEER_KEY_BYTES))
      if (!SELFTEST_KEYS.some(({ ip, port }) => ip === key.ip && port === key.port)) keys.push(key)
    }
    return {
      kind: 'attached',
      keys,
      listeners: FAMILIES.filter((family) => {
        const slot = Uint8Array.of(LISTENER_SLOT[family], 0, 0, 0)
        return native.bpf.mapLookup(listeners, slot, 8) !== undefined
      }),
      counters: {
        steered: readSteerCounter(native.bpf, counters, 0),
        noListener: readSteerCounter(native.bpf, counters, 1),
      },
    }
  })
  return read ?? { kind: 'absent', because: 'a pinned map is missing' }
}

function withRouting<T>(native: Native, use: (routes: PolicyRouting) => T): T {
  const socket = native.netlink('route')
  try {
    return use(policyRouting(routing(socket)))
  } finally {
    socket.close()
  }
}

/** What the kernel does is synchronous; the interface is not, so that errors arrive as rejections. */
function asynchronously<A extends readonly unknown[]>(
  act: (...args: A) => void,
): (...args: A) => Promise<void> {
  return (...args) => Promise.resolve().then(() => act(...args))
}
