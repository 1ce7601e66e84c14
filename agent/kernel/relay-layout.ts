// Where everything lies in the memory that a relay engine shares with JavaScript: native/src/relay/messages.h and
// shared_memory.h, in numbers. A test compiles these and compares.

/** 32-bit words from the start of the memory. */
export const WORD = {
  eventHead: 0,
  eventTail: 1,
  commandHead: 2,
  commandTail: 3,
  sleeps: 4,
  woken: 5,
  turns: 6,
  eventCapacity: 7,
  commandCapacity: 8,
  slots: 9,
  died: 10,
} as const

export const HEADER_BYTES = 4096
export const COUNTERS_AT = 128
/** Doubles, in this order. */
export const COUNTERS = [
  'connections',
  'pipesInUse',
  'pipesPooled',
  'splicedBytes',
  'copiedBytes',
  'pipeShortages',
  'descriptorShortages',
  'memoryShortages',
  'portShortages',
] as const

/** A connection's id has its slot in these low bits. */
export const SLOT_BITS = 19
/** Two doubles: bytes from the client, bytes from the endpoint. */
export const SLOT_BYTES = 16
/** In the ids that JavaScript gives to connections it made itself. */
export const ADOPTED_BIT = 0x4000_0000

export const EVENT_BYTES = 128
/** Offsets in an event. */
export const EVENT = {
  kind: 0,
  connection: 4,
  fd: 8,
  error: 12,
  index: 16,
  flags: 20,
  durationUs: 24,
  client: 32,
  destination: 48,
  clientPort: 64,
  destinationPort: 66,
  waiting: 32,
  fromClient: 32,
  fromEndpoint: 40,
  outcome: 48,
  clientLeg: 56,
  endpointLeg: 72,
} as const

/** Offsets in a leg's TCP_INFO. */
export const LEG = { rttUs: 0, rttVarianceUs: 4, retransmits: 8, lost: 12 } as const

export const EVENT_KIND = {
  accepted: 1,
  readable: 2,
  attemptFailed: 3,
  connected: 4,
  exhausted: 5,
  handedOver: 6,
  ended: 7,
  acceptFailed: 8,
  listenerRemoved: 9,
} as const

export const EVENT_FLAG = { destinationKnown: 1, over: 2, hasClientLeg: 4, hasEndpointLeg: 8 } as const

export const OUTCOME = {
  closed: 1,
  'reset-by-client': 2,
  'reset-by-endpoint': 3,
  idle: 4,
  'idle-half-closed': 5,
  silent: 6,
  lifetime: 7,
  aborted: 8,
  refused: 9,
  'client-gone': 10,
} as const

export const COMMAND_BYTES = 256
/** Offsets in a command. */
export const COMMAND = {
  kind: 0,
  connection: 4,
  mark: 8,
  attemptTimeoutMs: 12,
  deadlineMs: 16,
  skipBytes: 20,
  idleMs: 24,
  halfClosedMs: 28,
  silentMs: 32,
  lifetimeMs: 36,
  candidateCount: 40,
  prefixLength: 41,
  fd: 44,
  candidates: 64,
  prefix: 184,
} as const

export const CANDIDATE_BYTES = 20
export const CANDIDATE_PORT = 16
export const MAX_CANDIDATES = 6
export const MAX_PREFIX_BYTES = 72

export const COMMAND_KIND = {
  addListener: 1,
  removeListener: 2,
  connect: 3,
  peek: 4,
  handOver: 5,
  refuse: 6,
  abort: 7,
  stall: 9,
  die: 10,
} as const
