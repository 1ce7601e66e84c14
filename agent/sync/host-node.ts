// A Node made from the host's own devices, for hosts that no Node object describes.

import { parseIp, isLoopback, type Ip } from '../model/ip.ts'
import type { Node } from '../model/node.ts'
import type { Snapshot } from '../plan/snapshot.ts'

/** As os.networkInterfaces() gives them. */
export type Interfaces = Readonly<
  Record<string, readonly { readonly address: string; readonly internal: boolean }[] | undefined>
>

/** Devices that container networks, tunnels and other proxies make; their addresses are not the node's name to others. */
const VIRTUAL =
  /^(veth|docker|br-|cni|cali|cilium|lxc|flannel|weave|kube-|nodelocaldns|virbr|tunl|vxlan|genev|wg|dummy|ifb|podman)/

/** Addresses of real devices first, in the order of the system; those of virtual devices only if there are no others. */
export function hostNode(name: string, interfaces: Interfaces): Node {
  const all = Object.entries(interfaces).flatMap(([device, addresses]) =>
    (addresses ?? []).flatMap(({ address, internal }) => {
      const ip = parseIp(address)
      return ip === undefined || internal || isLoopback(ip) || isLinkLocal(ip) ? [] : [{ device, ip }]
    }),
  )
  const real = all.filter(({ device }) => !VIRTUAL.test(device))
  const addresses = [...new Set((real.length > 0 ? real : all).map(({ ip }) => ip))]
  return { name, addresses, zone: '', podCidrs: [], taints: [], deleting: false }
}

/** The Snapshot with this Node if it has none. An equal Node must be the same object, or the plan is rebuilt. */
export function withHostNode(snapshot: Snapshot, node: Node): Snapshot {
  return snapshot.node === undefined ? { ...snapshot, node } : snapshot
}

/** Also the self-test's own address. */
function isLinkLocal(ip: Ip): boolean {
  return ip.startsWith('169.254.') || /^fe[89ab]/.test(ip) || ip.startsWith('fd53:4855:4e54:')
}
