// One engine on loopback with everything that it told, in order.

import type { ExecutionContext } from 'ava'
import { connect, type Socket } from 'node:net'
import { DEFAULT_CONNECTION_POLICY, type RelayTimeouts } from '#agent/model/connection-policy.ts'
import type {
  ConnectionId,
  ConnectVerdict,
  Engine,
  EngineEvents,
  RelayEnd,
  SocketAddress,
  Verdict,
} from '#agent/proxy/engine/engine.ts'

/** Makes the engine, listening on a free port of the address. */
export type OpenEngine = (
  t: ExecutionContext,
  events: EngineEvents,
  host: '127.0.0.1' | '::1',
) => Promise<{ readonly engine: Engine; readonly port: number }>

export type Told =
  | {
      kind: 'accepted'
      connection: ConnectionId
      client: SocketAddress
      destination: SocketAddress | undefined
    }
  | { kind: 'readable'; connection: ConnectionId; waiting: number; over: boolean }
  | { kind: 'attemptFailed'; connection: ConnectionId; index: number; code: string; durationUs: number }
  | { kind: 'connected'; connection: ConnectionId; index: number; durationUs: number }
  | { kind: 'exhausted'; connection: ConnectionId }
  | { kind: 'handedOver'; connection: ConnectionId; socket: Socket }
  | { kind: 'ended'; connection: ConnectionId; end: RelayEnd }

export type ToldOf<Kind extends Told['kind']> = Told & { kind: Kind }

export interface EngineLab {
  readonly engine: Engine
  readonly port: number
  /** Everything of one connection, as short texts: `connected 1`, `ended closed`. */
  story(connection: ConnectionId): readonly string[]
  /** Events so far. */
  count(): number
  /** The first event of this kind that was not asked for yet, now or within ten seconds. */
  next<Kind extends Told['kind']>(kind: Kind): Promise<ToldOf<Kind>>
  /** The first event of one of these kinds of this connection that was not asked for yet. */
  nextOf<Kind extends Told['kind']>(connection: ConnectionId, kinds: readonly Kind[]): Promise<ToldOf<Kind>>
  /** From now on every accepted connection gets this verdict at once. */
  always(verdict: Verdict): void
  dial(): Socket
}

export async function startEngine(
  t: ExecutionContext,
  open: OpenEngine,
  host: '127.0.0.1' | '::1' = '127.0.0.1',
): Promise<EngineLab> {
  const all: Told[] = []
  const fresh: Told[] = []
  const waiting: { wants: (told: Told) => boolean; resolve: (told: Told) => void }[] = []
  let always: Verdict | undefined
  let engine: Engine | undefined

  const tell = (told: Told): void => {
    const before = all.findLast((each) => each.connection === told.connection)
    if (before !== undefined && before.kind === 'handedOver')
      throw new Error(`${told.kind} came after the connection was handed over`)
    if (before?.kind === 'ended' && told.kind !== 'accepted')
      throw new Error(`${told.kind} came after the connection had ended`)
    all.push(told)
    const index = waiting.findIndex(({ wants }) => wants(told))
    if (index < 0) fresh.push(told)
    else waiting.splice(index, 1)[0]?.resolve(told)
  }
  const events: EngineEvents = {
    accepted(connection, client, destination) {
      tell({ kind: 'accepted', connection, client, destination })
      if (always !== undefined) engine?.decide(connection, always)
    },
    readable: (connection, waiting, over) => tell({ kind: 'readable', connection, waiting, over }),
    attemptFailed: (connection, index, code, durationUs) =>
      tell({ kind: 'attemptFailed', connection, index, code, durationUs }),
    connected: (connection, index, durationUs) => tell({ kind: 'connected', connection, index, durationUs }),
    exhausted: (connection) => tell({ kind: 'exhausted', connection }),
    handedOver: (connection, socket) => tell({ kind: 'handedOver', connection, socket }),
    ended: (connection, end) => tell({ kind: 'ended', connection, end }),
    acceptFailed: (code) => t.fail(`accept failed: ${code}`),
  }
  const wait = (what: string, wants: (told: Told) => boolean): Promise<Told> =>
    new Promise((resolve, reject) => {
      const index = fresh.findIndex(wants)
      const [told] = index < 0 ? [] : fresh.splice(index, 1)
      if (told !== undefined) return resolve(told)
      const timer = setTimeout(() => reject(new Error(`the engine never told: ${what}`)), 10_000)
      waiting.push({
        wants,
        resolve: (told) => {
          clearTimeout(timer)
          resolve(told)
        },
      })
    })
  const opened = await open(t, events, host)
  engine = opened.engine
  t.teardown(() => opened.engine.close())
  return {
    ...opened,
    count: () => all.length,
    story: (connection) => all.filter((told) => told.connection === connection).map(text),
    next: (kind) => wait(kind, (told) => told.kind === kind) as never,
    nextOf: (connection, kinds) =>
      wait(
        `${kinds.join(' or ')} of ${connection}`,
        (told) => told.connection === connection && kinds.some((kind) => kind === told.kind),
      ) as never,
    always: (verdict) => void (always = verdict),
    dial() {
      const socket = connect({ host, port: opened.port, allowHalfOpen: true, noDelay: true })
      socket.on('error', () => {})
      t.teardown(() => void socket.destroy())
      return socket
    },
  }
}

export const LIMITS: RelayTimeouts = DEFAULT_CONNECTION_POLICY.timeouts

/** Without a mark, which needs root. */
export function connectTo(
  candidates: readonly SocketAddress[],
  options: Partial<Omit<ConnectVerdict, 'kind' | 'candidates' | 'limits'>> & {
    limits?: Partial<RelayTimeouts>
  } = {},
): ConnectVerdict {
  return {
    kind: 'connect',
    mark: 0,
    attemptTimeoutMs: 2_000,
    deadlineMs: 10_000,
    skipBytes: 0,
    ...options,
    candidates: candidates.map(({ ip, port }) => ({ ip, port })),
    limits: { ...LIMITS, ...options.limits },
  }
}

function text(told: Told): string {
  switch (told.kind) {
    case 'accepted':
    case 'exhausted':
    case 'handedOver':
      return told.kind
    case 'readable':
      return `readable ${told.waiting}${told.over ? ' over' : ''}`
    case 'attemptFailed':
      return `attemptFailed ${told.index} ${told.code}`
    case 'connected':
      return `connected ${told.index}`
    case 'ended':
      return `ended ${told.end.outcome}`
  }
}
