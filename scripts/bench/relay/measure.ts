// One visit to one peer in a lab of its own: every measurement of the table once, every byte compared.

import { setTimeout as sleep } from 'node:timers/promises'

import { createLab, type Lab } from '../../../test/support/lab/lab.ts'
import type { SpawnOptions } from '../../../test/support/lab/processes.ts'
import {
  startLoad,
  type LatenciesUs,
  type LoadArguments,
  type LoadResults,
} from '../../../test/support/load/load.ts'
import { cpuUsOf, rssKibOf } from '../process.ts'
import { CLIENT_POD, ENDPOINT_PORT, endpointOf, SERVER_POD, startPeerProxy, type PeerName } from './peers.ts'

/** CPU is that of the proxy process, all its threads. */
export interface Visit {
  readonly bulk: Readonly<Record<1 | 8, { readonly gbPerSecond: number; readonly cpuSecondsPerGb: number }>>
  readonly pingPong: Readonly<
    Record<1 | 64, { readonly perSecond: number; readonly cpuUs: number; readonly latencyUs: LatenciesUs }>
  >
  readonly connections: { readonly perSecond: number; readonly cpuUs: number }
  /** At the fixed rate; undefined if none was given. */
  readonly loadedUs: LatenciesUs | undefined
}

export interface MemoryFigures {
  readonly idleMib: number
  readonly perConnectionKib: number
  readonly connections: number
}

const SETTLE_MS = 10_000
const BULK_BYTES = 3e9
const PING_PONG_SECONDS = 3
const LOADED_SECONDS = 5
export const LOADED_CONNECTIONS = 16
/** Until V8 has compiled what runs for each, as in any proxy that runs for a minute; the others get as many. */
export const WARM_UP_CONNECTIONS = 40_000
/** Fewer than half of the ports of one address: beyond, the kernel's search for a free one costs more than the rest. */
const CONNECTIONS = 12_000
const CONCURRENCY = 16

/** @param ratePerSecond round trips a second of the run at a fixed rate */
export async function visit(name: PeerName, ratePerSecond: number | undefined): Promise<Visit> {
  return withPeer(name, async ({ client, to, pids }) => {
    // The endpoint closes first, so that no proxy holds ports in TIME_WAIT.
    await client('conns', { to, count: WARM_UP_CONNECTIONS, close: 'server' })
    // Next, before V8 drops code that it has not used for a while.
    const shortLived = await connections(client, to, pids)
    return {
      bulk: { 1: await bulk(client, to, pids, 1), 8: await bulk(client, to, pids, 8) },
      pingPong: { 1: await pingPong(client, to, pids, 1), 64: await pingPong(client, to, pids, 64) },
      loadedUs: ratePerSecond === undefined ? undefined : await loaded(client, to, ratePerSecond),
      connections: shortLived,
    }
  })
}

/** What a visit costs in memory: at rest, and for each of many idle connections that are relayed. */
export async function visitMemory(name: PeerName, count: number): Promise<MemoryFigures> {
  return withPeer(name, async ({ lab, to, pids }) => {
    // A proxy that has just started still holds what only the start needed.
    await sleep(SETTLE_MS)
    const idleMib = rssKibOf(pids) / 1024
    // What the first ones make it reserve once is no cost of each.
    const first = await startLoad(at(lab, CLIENT_POD), 'idle', { to, count: Math.floor(count / 10) })
    await first.begun
    const before = rssKibOf(pids)
    const rest = count - Math.floor(count / 10)
    const held = await startLoad(at(lab, CLIENT_POD), 'idle', { to, count: rest })
    await held.begun
    const after = rssKibOf(pids)
    for (const load of [held, first]) {
      const { whole, stillWhole, failed } = await load.end()
      if (failed > 0 || whole !== stillWhole)
        throw new Error(
          `${name}: ${whole} idle connections, ${stillWhole} whole at the end, ${failed} failed`,
        )
    }
    return { idleMib, perConnectionKib: (after - before) / rest, connections: count }
  })
}

interface Stage {
  readonly lab: Lab
  readonly to: string
  readonly pids: readonly number[]
  readonly client: Client
}

type Client = <M extends ClientMode>(
  mode: M,
  given: LoadArguments,
  pids?: readonly number[],
) => Promise<Measured<M>>

type ClientMode = 'conns' | 'bulk' | 'pingpong'
type Measured<M extends ClientMode> = LoadResults[M] & { readonly proxyCpuUs: number }

async function withPeer<T>(name: PeerName, work: (stage: Stage) => Promise<T>): Promise<T> {
  const lab = await createLab()
  try {
    const peer = await startPeerProxy(lab, name)
    const on = `${endpointOf(lab)}:${ENDPOINT_PORT}`
    const server = await startLoad(at(lab, SERVER_POD), 'serve', { on })
    await server.begun
    try {
      const result = await work({ lab, to: peer.to, pids: peer.pids, client: clientOf(lab) })
      const [seen] = (await server.end()).listeners
      if (seen === undefined || seen.saw.wrongStreams > 0)
        throw new Error(`${name}: the endpoint got wrong bytes: ${seen?.saw.firstProblem}`)
      return result
    } finally {
      await peer.stop()
    }
  } finally {
    await lab.close()
  }
}

function at(lab: Lab, place: string) {
  return (argv: readonly string[], options: SpawnOptions) => lab.spawn(place, argv, options)
}

/** Runs a client and takes the proxy's CPU between its first and its last line. */
function clientOf(lab: Lab): Client {
  return async (mode, given, pids = []) => {
    const load = await startLoad(at(lab, CLIENT_POD), mode, given)
    await load.begun
    const before = cpuUsOf(pids)
    const result = await load.result
    const proxyCpuUs = cpuUsOf(pids) - before
    const problem = 'problem' in result ? result.problem : result.failed > 0 ? result.failedBy : ''
    if (problem !== '') throw new Error(`${mode} ${JSON.stringify(given)}: ${JSON.stringify(problem)}`)
    return { ...result, proxyCpuUs }
  }
}

async function bulk(client: Client, to: string, pids: readonly number[], streams: 1 | 8) {
  const result = await client(
    'bulk',
    { to, streams, up: BULK_BYTES / streams, down: 64, 'server-sends': 'after' },
    pids,
  )
  return {
    gbPerSecond: result.gbPerSecond,
    cpuSecondsPerGb: result.proxyCpuUs / 1e6 / (result.bytesUp / 1e9),
  }
}

async function pingPong(client: Client, to: string, pids: readonly number[], connections: 1 | 64) {
  const result = await client('pingpong', { to, connections, seconds: PING_PONG_SECONDS }, pids)
  return {
    perSecond: result.perSecond,
    cpuUs: result.proxyCpuUs / result.roundTrips,
    latencyUs: result.latencyUs,
  }
}

async function loaded(client: Client, to: string, rate: number): Promise<LatenciesUs> {
  const given = { to, connections: LOADED_CONNECTIONS, seconds: LOADED_SECONDS, rate }
  return (await client('pingpong', given)).latencyUs
}

async function connections(client: Client, to: string, pids: readonly number[]) {
  const result = await client('conns', { to, count: CONNECTIONS, concurrency: CONCURRENCY }, pids)
  return { perSecond: result.perSecond, cpuUs: result.proxyCpuUs / CONNECTIONS }
}
