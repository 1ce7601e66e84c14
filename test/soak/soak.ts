// A day compressed: short connections, messages, bulk, half-closed and idle connections at once, while endpoints come and
// go. Sampled all the time; at the end nothing is open, nothing leaked, and what the proxy counted is what its peers saw.

import { setTimeout as sleep } from 'node:timers/promises'

import {
  BAD_POD,
  CLIENT_POD,
  GOOD_POD,
  RelayStage,
  type Endpoint,
  type Relay,
  type RelayService,
} from '../fault/relay-stage.ts'
import type { ConnsResult, IdleResult, Load, LoadArguments, Sight } from '../support/load/load.ts'

export interface SoakOptions {
  readonly relay: Relay
  readonly seconds: number
  readonly workers?: number
  readonly say: (sentence: string) => void
}

export interface SoakResult {
  /** Sentences; empty: all is well. */
  readonly problems: readonly string[]
  readonly connections: number
  readonly gigabytes: number
  /** Resident KiB of the proxy, at even times. */
  readonly rssKib: readonly number[]
  /** Growth of what the proxy holds on to, after full collections. */
  readonly heapBytes: number
  readonly rssBytes: number
}

const answer = (pod: string): Endpoint => ({ pod, behaviour: 'answer' })
const BOTH = [answer(GOOD_POD), answer(BAD_POD)]

/** One Service for each kind of load, so that each has counts of its own. */
const SERVICES = {
  short: { name: 'short', number: 1, endpoints: BOTH },
  messages: { name: 'messages', number: 2, endpoints: BOTH },
  bulk: { name: 'bulk', number: 3, endpoints: BOTH },
  halves: { name: 'halves', number: 4, endpoints: BOTH },
  idle: { name: 'idle', number: 5, endpoints: BOTH },
} as const satisfies Record<string, RelayService>

const CHURN_MS = 1500
const SAMPLES = 40
/**
 * A second. A Pod that closes first keeps each port for a minute and is slow to find one when half of them (14,116) are
 * taken: beyond 235 a second the clients measure their own kernel.
 */
const RATE = 150
const IDLE = 200
/** However long it runs: code is compiled and bounded lists fill once. */
const MOST_HEAP_BYTES = 3e6
const MOST_RSS_BYTES = 24e6

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const stage = await RelayStage.start({
    relay: options.relay,
    workers: options.workers ?? 2,
    services: Object.values(SERVICES),
  })
  try {
    return await soakIn(stage, options)
  } finally {
    await stage.stop()
  }
}

async function soakIn(stage: RelayStage, { seconds, say }: SoakOptions): Promise<SoakResult> {
  const problems: string[] = []
  const endsAtMs = performance.now() + seconds * 1000
  const left = (): boolean => performance.now() < endsAtMs
  await round(stage, problems, left)
  await stage.untilNoneOpen()
  const heldBefore = await stage.held()
  const before = stage.openNow()

  const idle = await stage.load(CLIENT_POD, 'idle', { to: stage.to(SERVICES.idle), count: IDLE })
  const short = await stage.load(CLIENT_POD, 'conns', { to: stage.to(SERVICES.short), rate: RATE, seconds })
  const rssKib: number[] = []
  const sampler = sample(stage, seconds, rssKib, say)
  await Promise.all([repeat(() => round(stage, problems, left), left), churn(stage, left)])
  await sampler
  await judgeShort(short, problems)
  await judgeIdle(idle, problems)

  await stage.untilNoneOpen()
  await stage.untilOpen(before).catch((error: unknown) => problems.push(String(error)))
  for (const service of Object.values(SERVICES)) await reconcile(stage, service, problems)
  const connections = await stage.metric('shunt_proxy_connections_total')
  const gigabytes = (await stage.metric('shunt_proxy_bytes_total')) / 1e9
  const held = await stage.held()
  const heapBytes = held.heapBytes - heldBefore.heapBytes
  const rssBytes = held.rssBytes - heldBefore.rssBytes
  if (heapBytes > MOST_HEAP_BYTES) problems.push(`the live heap grew by ${heapBytes} bytes`)
  if (rssBytes > MOST_RSS_BYTES) problems.push(`resident memory grew by ${rssBytes} bytes`)
  return { problems, connections, gigabytes, rssKib, heapBytes, rssBytes }
}

/** One bout of everything that has an end of its own. */
async function round(stage: RelayStage, problems: string[], left: () => boolean): Promise<void> {
  const bulk = async (service: RelayService, given: LoadArguments): Promise<void> => {
    const result = await stage.run('bulk', { to: stage.to(service), ...given })
    if (result.problem !== '') problems.push(`${service.name}: ${result.problem}`)
  }
  const messages = async (): Promise<void> => {
    const to = stage.to(SERVICES.messages)
    const result = await stage.run('pingpong', { to, connections: 16, rate: 400, seconds: left() ? 3 : 1 })
    if (result.problem !== '') problems.push(`messages: ${result.problem}`)
  }
  await Promise.all([
    messages(),
    bulk(SERVICES.bulk, { streams: 4, rounds: 3, up: 8e6, down: 8e6, 'chunk-max': 200_000 }),
    // The client closes its half at once, the endpoint takes its time; and the other way round.
    bulk(SERVICES.halves, { streams: 4, rounds: 2, up: 0, down: 2e5, 'read-rate': 2e5 }),
    bulk(SERVICES.halves, { streams: 4, rounds: 2, up: 2e5, down: 0, 'server-read-rate': 2e5 }),
  ])
}

/** Endpoints go and come back; those that are gone still serve what they have. */
async function churn(stage: RelayStage, left: () => boolean): Promise<void> {
  const sets = [BOTH, [answer(GOOD_POD)], [answer(BAD_POD)], BOTH.toReversed()]
  for (let turn = 0; left(); turn++) {
    for (const service of Object.values(SERVICES))
      stage.publish({ ...service, endpoints: sets[turn % sets.length] ?? BOTH })
    await sleep(CHURN_MS)
  }
}

async function repeat(work: () => Promise<void>, left: () => boolean): Promise<void> {
  while (left()) await work()
}

async function sample(
  stage: RelayStage,
  seconds: number,
  rssKib: number[],
  say: (sentence: string) => void,
): Promise<void> {
  for (let i = 0; i < SAMPLES; i++) {
    await sleep((seconds * 1000) / SAMPLES)
    rssKib.push(stage.rssKib())
    if ((i + 1) % (SAMPLES / 8) === 0) {
      const { connections } = await stage.status()
      const mib = (stage.rssKib() / 1024).toFixed(0)
      say(`${i + 1}/${SAMPLES}: ${connections.accepted} connections, ${connections.open} open, ${mib} MiB`)
    }
  }
}

async function judgeShort(short: Load<'conns'>, problems: string[]): Promise<void> {
  const result: ConnsResult = await short.result
  if (result.failed > 0) problems.push(`short connections: ${JSON.stringify(result.failedBy)}`)
  if (result.answered !== result.started)
    problems.push(`short connections: ${result.answered} of ${result.started} were answered`)
}

async function judgeIdle(idle: Load<'idle'>, problems: string[]): Promise<void> {
  const { stillWhole, failedBy }: IdleResult = await idle.end()
  if (stillWhole !== IDLE)
    problems.push(`idle connections: ${stillWhole} of ${IDLE} are whole: ${JSON.stringify(failedBy)}`)
}

/** What the proxy counted of a Service must be what the endpoints saw, to the connection and to the byte. */
async function reconcile(stage: RelayStage, service: RelayService, problems: string[]): Promise<void> {
  const labels = { service: `default/${service.name}:tcp/TCP` }
  const seen = [await stage.saw(service, GOOD_POD), await stage.saw(service, BAD_POD)]
  const sum = (read: (sight: Sight) => number): number => seen.reduce((total, one) => total + read(one), 0)
  const expect = (what: string, counted: number, saw: number): void => {
    if (counted !== saw) problems.push(`${service.name}: ${what}: ${counted} counted, ${saw} seen`)
  }
  const bytes = (direction: string) => stage.metric('shunt_proxy_bytes_total', { ...labels, direction })
  const connected = { ...labels, result: 'connected' }
  const accepted = await stage.metric('shunt_proxy_connections_total', labels)
  expect(
    'connections',
    accepted,
    sum((one) => one.accepted),
  )
  expect('ended', await stage.metric('shunt_proxy_connections_ended_total', labels), accepted)
  expect('attempts', await stage.metric('shunt_proxy_connect_attempts_total', connected), accepted)
  expect(
    'bytes to endpoints',
    await bytes('from_client'),
    sum((one) => one.bytesIn),
  )
  expect(
    'bytes to clients',
    await bytes('from_endpoint'),
    sum((one) => one.bytesOut),
  )
  expect(
    'streams with a wrong byte',
    sum((one) => one.wrongStreams),
    0,
  )
}
