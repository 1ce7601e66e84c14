// The proxy's listeners for steered connections, and their place in the BPF socket map. The proxy calls this while it
// still is root; it then needs no agent to be reachable again, because program and maps are pinned, or made here.

import { messageOf, ShuntError } from '../model/errors.ts'
import { FAMILIES, type Family, type Ip } from '../model/ip.ts'
import type { Port } from '../model/port.ts'
import { hasFamily } from './families.ts'
import type { Fd, Native } from './native-types.ts'
import { attachSteering, isSteeringAttached, LISTENER_SLOT, withSteerMaps } from './steer-maps.ts'

export interface SteerListenOptions {
  readonly pinDir: string
  readonly port: Port
  readonly backlog: number
  /** Listeners of each family, one for each worker; default 1. The kernel spreads connections over them. */
  readonly perFamily?: number
  /** Those of a proxy that hands over: they come first, and what is missing of `perFamily` is opened beside them. */
  readonly received?: readonly ListeningSocket[]
  /** False: no BPF at all (the DNAT mechanism was chosen). */
  readonly skLookup?: boolean
}

/** Listens on all addresses of the family. */
export interface ListeningSocket {
  readonly family: Family
  readonly fd: Fd
}

export interface SteerListeners {
  /** `perFamily` of each family that the host has, or as many as were received if those are more. The caller's. */
  readonly sockets: readonly ListeningSocket[]
  readonly skLookup:
    | { readonly kind: 'attached' }
    /** The listeners serve the DNAT mechanism all the same. */
    | { readonly kind: 'off'; readonly because: string }
}

/** Throws ADDRESS_IN_USE or NOT_PERMITTED if not even a listener can be made. */
export function openSteerListeners(native: Native, options: SteerListenOptions): SteerListeners {
  const { perFamily = 1, received = [] } = options
  const sockets: ListeningSocket[] = [...received]
  let transparent = true
  const open = (family: Family, reusePort: boolean): Fd => {
    try {
      return listen(native, family, options, { transparent, reusePort })
    } catch (error) {
      // Without CAP_NET_ADMIN a plain listener still serves DNAT.
      if (!(error instanceof ShuntError) || error.code !== 'NOT_PERMITTED' || !transparent) throw error
      transparent = false
      return listen(native, family, options, { transparent, reusePort })
    }
  }
  try {
    for (const family of FAMILIES.filter(hasFamily)) {
      const have = received.filter((socket) => socket.family === family).length
      // A listener that shares its port would silently share it with another proxy of this user, too.
      if (have === 0) native.closeFd(open(family, false))
      for (let made = have; made < perFamily; made++) sockets.push({ family, fd: open(family, true) })
    }
    return { sockets, skLookup: enterSocketMap(native, options, sockets, transparent) }
  } catch (error) {
    for (const { fd } of sockets.slice(received.length)) native.closeFd(fd)
    throw error
  }
}

/** What the proxy writes to a connection whose destination is a self-test address, before it closes. */
export function selfTestAnswer(pid: number, generation: number): string {
  return `shunt ${pid} ${generation}\n`
}

const ANY: Readonly<Record<Family, Ip>> = { IPv4: '0.0.0.0' as Ip, IPv6: '::' as Ip }

function listen(
  native: Native,
  family: Family,
  { port, backlog }: SteerListenOptions,
  how: { readonly transparent: boolean; readonly reusePort: boolean },
): Fd {
  return native.listenTcp({ ip: ANY[family], port, backlog, ...how, v6only: true })
}

/**
 * One listener of a family stands for all of them: the kernel chooses among those that share the port after the program
 * chose the one.
 */
function enterSocketMap(
  native: Native,
  options: SteerListenOptions,
  sockets: readonly ListeningSocket[],
  transparent: boolean,
): SteerListeners['skLookup'] {
  if (options.skLookup === false) return { kind: 'off', because: 'not asked for' }
  if (!transparent)
    return { kind: 'off', because: 'the listeners cannot be transparent without CAP_NET_ADMIN' }
  try {
    withSteerMaps(native, options.pinDir, (maps, fresh) => {
      for (const family of FAMILIES) {
        const socket = sockets.find((each) => each.family === family)
        if (socket === undefined) continue
        const slot = LISTENER_SLOT[family]
        // The predecessor entered one of the same group; there is no need to ask what the kernel makes of doing it twice.
        const entered = options.received?.includes(socket) === true && hasSocket(native, maps.listeners, slot)
        if (!entered) native.bpf.sockMapUpdate(maps.listeners, slot, socket.fd)
      }
      // After the listeners, so that the program never runs without one.
      if (fresh || !isSteeringAttached(native.bpf, options.pinDir))
        attachSteering(native.bpf, options.pinDir, maps)
    })
    return { kind: 'attached' }
  } catch (error) {
    return { kind: 'off', because: messageOf(error) }
  }
}

/** To user space, the value of a slot is the cookie of its socket. */
function hasSocket({ bpf }: Native, listeners: Fd, slot: number): boolean {
  return bpf.mapLookup(listeners, new Uint8Array(Uint32Array.of(slot).buffer), 8) !== undefined
}
