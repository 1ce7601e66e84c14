// The addon's exports as C++ defines them: positional, plain, unchecked. Only the native-*.ts files call them.

export interface RawAddon {
  listenTcp(
    address: Uint8Array,
    port: number,
    backlog: number,
    transparent: boolean,
    reusePort: boolean,
    v6only: boolean,
  ): number
  closeFd(fd: number): void
  duplicateFd(fd: number): number
  setSocketMark(fd: number, mark: number): void
  /** Address, then port in network order. */
  originalDestination(fd: number, v6: boolean): Uint8Array | undefined
  dropPrivileges(uid: number, gid: number, capabilities: number): void
  unixListen(path: string, mode: number, backlog: number): number
  unixConnect(path: string): number
  unixPeer(socket: number): { pid: number; uid: number; gid: number }
  /** `fds`: the bytes of an Int32Array. */
  sendFds(socket: number, message: Uint8Array, fds: Uint8Array): void
  receiveFds(socket: number, maxBytes: number): { message: Uint8Array; fds: Uint8Array } | undefined
  /** `report` gets id, fd or -1, errno, id, fd or -1, errno, ... */
  connectorOpen(report: (results: Int32Array) => void): number
  connectorConnect(
    connector: number,
    id: number,
    address: Uint8Array,
    port: number,
    mark: number,
    timeoutMs: number,
    source: Uint8Array | undefined,
  ): void
  connectorCancel(connector: number, id: number): void
  connectorClose(connector: number): void
  /** `onEvents` is called when there is something to read in the memory. */
  relayOpen(memory: ArrayBuffer, onEvents: () => void): number
  relayWake(relay: number): void
  relayPeek(fd: number, buffer: Uint8Array): number
  relayAdopt(
    relay: number,
    connection: number,
    client: number,
    endpoint: number,
    idleMs: number,
    halfClosedMs: number,
    silentMs: number,
    lifetimeMs: number,
    toEndpoint: Uint8Array,
    toClient: Uint8Array,
  ): void
  relayClose(relay: number): void
  netlinkOpen(protocol: number): number
  netlinkRequest(socket: number, message: Uint8Array): { errno: number; messages: Uint8Array }
  netlinkClose(socket: number): void
  bpfMountFs(path: string): boolean
  bpfUnmountFs(path: string): void
  bpfOpenMap(
    pin: string,
    name: string,
    type: number,
    keySize: number,
    valueSize: number,
    maxEntries: number,
    flags: number,
  ): number
  bpfOpenPin(path: string): number | undefined
  bpfMapUpdate(map: number, key: Uint8Array, value: Uint8Array): void
  bpfMapDelete(map: number, key: Uint8Array): boolean
  bpfMapLookup(map: number, key: Uint8Array, valueSize: number): Uint8Array | undefined
  bpfMapKeys(map: number, keySize: number, maxEntries: number): Uint8Array
  bpfAttachSkLookup(object: string, linkPin: string, maps: readonly (string | number)[]): boolean
  bpfTryLoad(object: string): void
  bpfLinkedNamespace(linkPin: string): { netnsInode: number; programId: number } | undefined
}

/** All of them, so that a stale build is noticed when it is loaded. */
export const EXPORTS = [
  'listenTcp',
  'closeFd',
  'duplicateFd',
  'setSocketMark',
  'originalDestination',
  'dropPrivileges',
  'unixListen',
  'unixConnect',
  'unixPeer',
  'sendFds',
  'receiveFds',
  'connectorOpen',
  'connectorConnect',
  'connectorCancel',
  'connectorClose',
  'relayOpen',
  'relayWake',
  'relayPeek',
  'relayAdopt',
  'relayClose',
  'netlinkOpen',
  'netlinkRequest',
  'netlinkClose',
  'bpfMountFs',
  'bpfUnmountFs',
  'bpfOpenMap',
  'bpfOpenPin',
  'bpfMapUpdate',
  'bpfMapDelete',
  'bpfMapLookup',
  'bpfMapKeys',
  'bpfAttachSkLookup',
  'bpfTryLoad',
  'bpfLinkedNamespace',
] as const satisfies readonly (keyof RawAddon)[]
