// The only loader of the native addon. Arguments are checked on this side of the border, so that C++ may trust them.

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

import { messageOf } from '../model/errors.ts'
import { nativeFdPassing } from './fd-passing.ts'
import { nativeBpf } from './native-bpf.ts'
import { openConnector } from './native-connector.ts'
import { openNetlink } from './native-netlink.ts'
import { openRelay } from './native-relay.ts'
import { nativeSockets } from './native-sockets.ts'
import { EXPORTS, type RawAddon } from './native-raw.ts'
import type { Native } from './native-types.ts'

export type NativeLoad =
  | { readonly kind: 'loaded'; readonly native: Native }
  /** A sentence that names the file and the reason. */
  | { readonly kind: 'absent'; readonly because: string }

/** Loads once for each file; later calls give the same module of this environment. `''`: ours; `none`: none. */
export function loadNative(wanted = ''): NativeLoad {
  if (wanted === 'none') return { kind: 'absent', because: 'the option addon says none' }
  const path = wanted === '' ? ADDON_PATH : wanted
  let raw: RawAddon
  try {
    raw = createRequire(import.meta.url)(path) as RawAddon
  } catch (error) {
    // The first line has the reason; the rest is Node's list of who required it.
    const reason = messageOf(error).split('\n', 1)[0] ?? ''
    return { kind: 'absent', because: `the addon ${path} does not load: ${reason}` }
  }
  const missing = EXPORTS.filter((name) => typeof raw[name] !== 'function')
  if (missing.length > 0)
    return {
      kind: 'absent',
      because: `the addon ${path} is of another version: it lacks ${missing.join(', ')}`,
    }
  return {
    kind: 'loaded',
    native: {
      ...nativeSockets(raw),
      connector: () => openConnector(raw),
      relay: (options) => openRelay(raw, options),
      netlink: (protocol) => openNetlink(raw, protocol),
      bpf: nativeBpf(raw),
      fdPassing: nativeFdPassing(raw),
    },
  }
}

/** Where `make -C native` puts the addon and the BPF objects. */
export const ADDON_PATH = fileURLToPath(new URL('../../native/build/shunt.node', import.meta.url))
export const STEER_OBJECT_PATH = fileURLToPath(new URL('../../native/build/bpf/steer.bpf.o', import.meta.url))
