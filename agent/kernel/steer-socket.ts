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
  /** For one listener per worker; only the first process or worker then enters the socket map. */
  readonly reusePort?: boolean
  /** False: no BPF at all (the DNAT mechanism was chosen). */
  readonly skLookup?: boolean
}

export interface SteerListeners {
  /** Listening, on all addresses of the family; hand each to `net.createServer().listen({ fd })`. */
  readonly fds: Readonly<Partial<Record<Family, Fd>>>
  readonly skLookup:
    | { readonly kind: 'attached' }
    /** The listeners serve the DNAT mechanism all the same. */
    | { readonly kind: 'off'; readonly because: string }
}

/** Throws ADDRESS_IN_USE or NOT_PERMITTED if not even a listener can be made. */
export function openSteerListeners(native: Native, options: SteerListenOptions): SteerListeners {
  const fds: Partial<Record<Family, Fd>> = {}
  let transparent = true
  for (const family of FAMILIES.filter(hasFamily)) {
    try {
      fds[family] = listen(native, family, options, transparent)
    } catch (error) {
      // Without CAP_NET_ADMIN a plain listener still serves DNAT.
      if (!(error instanceof ShuntError) || error.code !== 'NOT_PERMITTED' || !transparent) throw error
      transparent = false
      fds[family] = listen(native, family, options, transparent)
    }
  }
  return { fds, skLookup: enterSocketMap(native, options, fds, transparent) }
}

/** What the proxy writes to a connection whose destination is a self-test address, before it closes. */
export function selfTestAnswer(pid: number, generation: number): string {
  return `shunt ${pid} ${generation}\n`
}

const ANY: Readonly<Record<Family, Ip>> = { IPv4: '0.0.0.0' as Ip, IPv6: '::' as Ip }

function listen(native: Native, family: Family, options: SteerListenOptions, transparent: boolean): Fd {
  const { port, backlog, reusePort = false } = options
  return native.listenTcp({ ip: ANY[family], port, backlog, transparent, reusePort, v6only: true })
}

function enterSocketMap(
  native: Native,
  options: SteerListenOptions,
  fds: Readonly<Partial<Record<Family, Fd>>>,
  transparent: boolean,
): SteerListeners['skLookup'] {
  if (options.skLookup === false) return { kind: 'off', because: 'not asked for' }
  if (!transparent)
    return { kind: 'off', because: 'the listeners cannot be transparent without CAP_NET_ADMIN' }
  try {
    withSteerMaps(native, options.pinDir, (maps, fresh) => {
      for (const family of FAMILIES) {
        const fd = fds[family]
        if (fd !== undefined) native.bpf.sockMapUpdate(maps.listeners, LISTENER_SLOT[family], fd)
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
