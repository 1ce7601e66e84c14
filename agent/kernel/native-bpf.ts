// BPF maps, programs and links of the addon.

import { ShuntError } from '../model/errors.ts'
import type { RawAddon } from './native-raw.ts'
import { natural } from './native-sockets.ts'
import type { BpfMapSpec, NativeBpf } from './native-types.ts'
import { kernelCall } from './system-error.ts'

/** linux/bpf.h: bpf_map_type, and BPF_F_NO_PREALLOC for hashes, whose program says the same. */
const MAP_KINDS: Readonly<Record<BpfMapSpec['kind'], { readonly type: number; readonly flags: number }>> = {
  hash: { type: 1, flags: 1 },
  percpu_array: { type: 6, flags: 0 },
  sockmap: { type: 15, flags: 0 },
}

export function nativeBpf(raw: RawAddon): NativeBpf {
  return {
    mountFs: (path) => kernelCall(`mount a BPF file system on ${path}`, () => raw.bpfMountFs(path)),
    unmountFs: (path) => kernelCall(`unmount ${path}`, () => raw.bpfUnmountFs(path)),
    openMap(spec) {
      const { type, flags } = MAP_KINDS[spec.kind]
      return kernelCall(`open the BPF map ${spec.pin}`, () =>
        raw.bpfOpenMap(
          spec.pin,
          spec.name,
          type,
          natural(spec.keySizeBytes, 'keySizeBytes'),
          natural(spec.valueSizeBytes, 'valueSizeBytes'),
          natural(spec.maxEntries, 'maxEntries'),
          flags,
        ),
      )
    },
    openPin: (path) => kernelCall(`open the pin ${path}`, () => raw.bpfOpenPin(path)),
    mapUpdate: (map, key, value) => kernelCall('update a BPF map', () => raw.bpfMapUpdate(map, key, value)),
    mapDelete: (map, key) => kernelCall('delete from a BPF map', () => raw.bpfMapDelete(map, key)),
    mapLookup: (map, key, valueSizeBytes) =>
      kernelCall('read a BPF map', () =>
        raw.bpfMapLookup(map, key, natural(valueSizeBytes, 'valueSizeBytes')),
      ),
    mapKeys: (map, keySizeBytes, maxEntries) =>
      kernelCall('list a BPF map', () => raw.bpfMapKeys(map, keySizeBytes, maxEntries)),
    sockMapUpdate(map, slot, socket) {
      const key = new Uint8Array(4)
      new DataView(key.buffer).setUint32(0, natural(slot, 'slot'), true)
      const value = new Uint8Array(8)
      new DataView(value.buffer).setBigUint64(0, BigInt(socket), true)
      kernelCall('put a listener into the BPF socket map', () => raw.bpfMapUpdate(map, key, value))
    },
    attachSkLookup({ object, linkPin, maps }) {
      const flat = Object.entries(maps).flatMap(([name, fd]) => [name, natural(fd, 'map fd')])
      if (flat.length === 0) throw new ShuntError('INTERNAL', 'a program without maps would do nothing')
      const created = kernelCall('attach the steering program', () =>
        raw.bpfAttachSkLookup(object, linkPin, flat),
      )
      return created ? 'attached' : 'updated'
    },
    tryLoad: (object) => kernelCall('load the steering program', () => raw.bpfTryLoad(object)),
    linkNamespace: (linkPin) => kernelCall(`read the link ${linkPin}`, () => raw.bpfLinkedNamespace(linkPin)),
  }
}
