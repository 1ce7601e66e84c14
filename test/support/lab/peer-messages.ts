// What a test and its peer processes say to each other over Node's IPC channel.

export type PeerProtocol = 'tcp' | 'udp'

/** How a listening socket treats its clients. */
export type Behaviour =
  /** Says its name and the client's address for every line; speaks HTTP to those who do. */
  | 'answer'
  /** Accepts and never says a word. */
  | 'mute'
  /** Mute, and never closes, whatever the client does. */
  | 'open'

export interface ListenRequest {
  readonly kind: 'listen'
  readonly protocol: PeerProtocol
  readonly address: string
  readonly port: number
  /** What it calls itself in answers. */
  readonly name: string
  readonly behaviour: Behaviour
}

export interface UnlistenRequest {
  readonly kind: 'unlisten'
  readonly protocol: PeerProtocol
  readonly address: string
  readonly port: number
}

export interface ConnectRequest {
  readonly kind: 'connect'
  readonly protocol: PeerProtocol
  readonly to: string
  readonly port: number
  readonly count: number
  readonly concurrency: number
  /** From the first packet to the whole answer. */
  readonly timeoutMs: number
  /** Source addresses, each in turn; none: the kernel's choice. */
  readonly from: readonly string[]
}

/** Connects over and over until `stop`; one connection is started every `intervalMs`. */
export interface StreamRequest {
  readonly kind: 'stream'
  readonly stream: number
  readonly protocol: PeerProtocol
  readonly to: string
  readonly port: number
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Stops by itself after so many. */
  readonly limit: number
}

export interface StopRequest {
  readonly kind: 'stop'
  readonly stream: number
}

/** Opens a TCP connection and keeps it. */
export interface HoldRequest {
  readonly kind: 'hold'
  readonly held: number
  readonly to: string
  readonly port: number
  readonly timeoutMs: number
  /** Bytes to send at once; empty: a question, so that the answer names the server. */
  readonly silent: boolean
}

/** Asks over a held connection. */
export interface AskRequest {
  readonly kind: 'ask'
  readonly held: number
  readonly timeoutMs: number
}

/** Says that nothing more will be sent over a held connection, and keeps it. */
export interface FinishRequest {
  readonly kind: 'finish'
  readonly held: number
}

export interface DropRequest {
  readonly kind: 'drop'
  readonly held: number
}

export type PeerRequest =
  | ListenRequest
  | UnlistenRequest
  | ConnectRequest
  | StreamRequest
  | StopRequest
  | HoldRequest
  | AskRequest
  | FinishRequest
  | DropRequest

/** How one connection ended, as its client saw it. */
export type Seen =
  | { readonly kind: 'answered'; readonly by: string; readonly source: string; readonly ms: number }
  /** A RST or an ICMP port unreachable before the connection stood. */
  | { readonly kind: 'refused'; readonly ms: number }
  /** Any other ICMP error, or no route. */
  | { readonly kind: 'unreachable'; readonly code: string; readonly ms: number }
  /** No packet came back. */
  | { readonly kind: 'silent'; readonly ms: number }
  /** The connection stood and broke before an answer came. */
  | { readonly kind: 'broken'; readonly code: string; readonly ms: number }
  /** The connection stood, and no answer came. */
  | { readonly kind: 'mute'; readonly ms: number }

/** One connection of a stream. */
export interface Timed {
  /** `Date.now()` when it was started. */
  readonly atMs: number
  readonly seen: Seen
}

export type PeerReply =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'seen'; readonly seen: readonly Seen[] }
  | { readonly kind: 'streamed'; readonly timed: readonly Timed[] }

/** The channel's frames. */
export interface RequestFrame {
  readonly id: number
  readonly request: PeerRequest
}

export interface ReplyFrame {
  readonly id: number
  readonly reply: PeerReply
}
