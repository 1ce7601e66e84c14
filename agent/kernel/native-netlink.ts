// Netlink sockets of the addon.

import { splitMessages } from './netlink/message.ts'
import type { RawAddon } from './native-raw.ts'
import type { NetlinkProtocol, NetlinkSocket } from './native-types.ts'
import { kernelCall } from './system-error.ts'

/** linux/netlink.h */
const PROTOCOLS: Readonly<Record<NetlinkProtocol, number>> = { route: 0, netfilter: 12 }

export function openNetlink(raw: RawAddon, protocol: NetlinkProtocol): NetlinkSocket {
  const handle = kernelCall(`open a netlink ${protocol} socket`, () => raw.netlinkOpen(PROTOCOLS[protocol]))
  return {
    request(message) {
      const reply = kernelCall(`ask the kernel over netlink ${protocol}`, () =>
        raw.netlinkRequest(handle, message),
      )
      return { errno: reply.errno, messages: splitMessages(reply.messages) }
    },
    close: () => raw.netlinkClose(handle),
  }
}
