// What the native addon offers, as the rest of the code sees it. kernel/native.ts loads it and checks every argument
// before C++ sees it; native/README.md says which side owns a file descriptor and when.

import type { Family, Ip } from '../model/ip.ts'
import type { Port } from '../model/port.ts'
import type { FdPassing } from './fd-passing.ts'
import type { NativeRelay, RelayOptions } from './native-relay.ts'

/** A file descriptor that the caller owns until it hands it on (to net.Socket, net.Server, or closeFd). */
export type Fd = number

export interface Native {
  /** A listening TCP socket, close-on-exec and non-blocking. Throws ADDRESS_IN_USE, NOT_PERMITTED or KERNEL_REFUSED. */
  listenTcp(options: ListenOptions): Fd
  closeFd(fd: Fd): void
  /** Of the same open file, close-on-exec. */
  duplicateFd(fd: Fd): Fd
  /** SO_MARK; throws NOT_PERMITTED without CAP_NET_ADMIN. */
  setSocketMark(fd: Fd, mark: number): void
  /** Where a DNATed connection was going before; undefined when conntrack does not know it. */
  originalDestination(fd: Fd, family: Family): Address | undefined
  /** Starts the connecting thread. One per process or worker is enough. */
  connector(): Connector
  /** Starts a relay engine on a thread of its own, with the capabilities that this thread has now. */
  relay(options: RelayOptions): NativeRelay
  /** Irreversible. Becomes the user and group with exactly these capabilities, sets no_new_privs, and verifies it all. */
  dropPrivileges(target: PrivilegeTarget): void
  netlink(protocol: NetlinkProtocol): NetlinkSocket
  readonly bpf: NativeBpf
  readonly fdPassing: FdPassing
}

export interface Address {
  readonly ip: Ip
  readonly port: Port
}

export interface ListenOptions {
  /** `::` with v6only false would take both families; all callers here set v6only. */
  readonly ip: Ip
  /** 0: the kernel chooses. */
  readonly port: number
  readonly backlog: number
  /** IP_TRANSPARENT: connections to addresses that are not the node's may be accepted. Needs CAP_NET_ADMIN. */
  readonly transparent: boolean
  readonly reusePort: boolean
  readonly v6only: boolean
}

export interface ConnectOptions {
  readonly ip: Ip
  readonly port: Port
  /** SO_MARK; 0 or undefined: none. */
  readonly mark?: number
  /** Bound before connecting, without taking a port early (IP_BIND_ADDRESS_NO_PORT). */
  readonly source?: Ip
  /** Fails with ETIMEDOUT after this; undefined: the kernel's own limit. */
  readonly timeoutMs?: number
}

export type ConnectResult =
  /** TCP_NODELAY is set; hand it to `new net.Socket({ fd })` or to closeFd. */
  | { readonly kind: 'connected'; readonly fd: Fd }
  /** `code` is the errno's name (ECONNREFUSED, ETIMEDOUT, ...); ECANCELED after cancel() or close(). */
  | { readonly kind: 'failed'; readonly errno: number; readonly code: string }

export interface Connector {
  connect(options: ConnectOptions): PendingConnect
  /** Fails what is pending with ECANCELED and joins the thread. Also runs when the environment ends. */
  close(): void
}

export interface PendingConnect {
  readonly result: Promise<ConnectResult>
  /** Too late is not an error: the result then is `connected`, and its fd has to be closed. */
  cancel(): void
}

export interface PrivilegeTarget {
  readonly uid: number
  readonly gid: number
  readonly keepCapabilities: readonly Capability[]
}

export type Capability = 'NET_ADMIN' | 'NET_BIND_SERVICE'

export type NetlinkProtocol = 'route' | 'netfilter'

export interface NetlinkSocket {
  /**
   * Sends one message whole and reads until its answer is complete (ACK, error, or the end of a dump), at most for
   * two seconds. Length, sequence and port of the header are filled in here. A dump that the kernel says was
   * interrupted by a change is repeated a few times.
   */
  request(message: Uint8Array): NetlinkReply
  close(): void
}

export interface NetlinkReply {
  /** 0, or the errno that the kernel answered with. */
  readonly errno: number
  /** The answers without the final ACK or DONE: whole messages, headers included. */
  readonly messages: readonly Uint8Array[]
}

export interface NativeBpf {
  /** Mounts a bpffs on the folder unless one is there already. True if it mounted. */
  mountFs(path: string): boolean
  unmountFs(path: string): void
  /** Opens the pin, or creates the map and pins it; whoever pins first wins. A pin of another shape is replaced. */
  openMap(spec: BpfMapSpec): Fd
  /** undefined: nothing is pinned there. */
  openPin(path: string): Fd | undefined
  /** Keys and values have the sizes of the map. */
  mapUpdate(map: Fd, key: Uint8Array, value: Uint8Array): void
  /** False if the key was not there. */
  mapDelete(map: Fd, key: Uint8Array): boolean
  mapLookup(map: Fd, key: Uint8Array, valueSizeBytes: number): Uint8Array | undefined
  /** All keys, one after the other. */
  mapKeys(map: Fd, keySizeBytes: number, maxEntries: number): Uint8Array
  /** Puts a listening socket into a slot of a socket map. */
  sockMapUpdate(map: Fd, slot: number, socket: Fd): void
  /**
   * Loads the one program of an object, using the given maps by name, and attaches it to this network namespace
   * through the link pinned at `linkPin`: an existing link gets the new program atomically, a link of another
   * namespace is replaced.
   */
  attachSkLookup(options: AttachOptions): 'attached' | 'updated'
  /** Loads the object with maps of its own and forgets it: throws if this kernel or process cannot. */
  tryLoad(object: string): void
  /** What a pinned link is attached to; undefined: nothing pinned, or the link is dead. */
  linkNamespace(linkPin: string): { readonly netnsInode: number; readonly programId: number } | undefined
}

export interface BpfMapSpec {
  readonly pin: string
  readonly name: string
  readonly kind: 'hash' | 'sockmap' | 'percpu_array'
  readonly keySizeBytes: number
  readonly valueSizeBytes: number
  readonly maxEntries: number
}

export interface AttachOptions {
  readonly object: string
  readonly linkPin: string
  /** By the name in the object. */
  readonly maps: Readonly<Record<string, Fd>>
}
