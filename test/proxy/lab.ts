// A proxy on loopback: real sockets on every leg, any original destination, time limits of the test's choice.

import type { ExecutionContext } from 'ava'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { systemClock } from '#agent/kernel/clock.ts'
import type { Labels, MetricName, Metrics } from '#agent/model/metrics.ts'
import { isLoopback } from '#agent/model/ip.ts'
import type { ProxyView, ViewEndpoint } from '#agent/proxy/decision/view.ts'
import { Intake, type Destination, type IntakeParts } from '#agent/proxy/intake.ts'
import { startListener } from '#agent/proxy/listener.ts'
import { DEFAULT_PUMP_LIMITS } from '#agent/proxy/pump/pump.ts'
import { createStreamPump } from '#agent/proxy/pump/stream-pump.ts'
import { Sessions } from '#agent/proxy/sessions.ts'
import { quietLog, type QuietLog } from '../support/quiet-log.ts'
import { nodeDialer } from './node-dialer.ts'
import { frontend, ip, view, WEB } from './views.ts'

export interface Lab {
  readonly intake: Intake
  readonly sessions: Sessions
  readonly metrics: RecordingMetrics
  readonly log: QuietLog
  /** Dials the proxy as if the client had dialled the steered address. */
  dial(): Socket
}

export interface LabOptions extends Partial<IntakeParts> {
  readonly endpoints: readonly ViewEndpoint[]
  readonly affinitySeconds?: number
  readonly destination?: Destination
}

const STEERED: Destination = { kind: 'known', ip: ip('10.96.0.10'), port: 80 }

export async function startLab(t: ExecutionContext, options: LabOptions): Promise<Lab> {
  const metrics = new RecordingMetrics()
  const log = quietLog()
  const sessions = new Sessions()
  const served: ProxyView = view({
    frontends: { '10.96.0.10|80': frontend() },
    services: {
      [WEB]: {
        key: WEB,
        cluster: options.endpoints,
        local: [],
        ...(options.affinitySeconds === undefined ? {} : { affinitySeconds: options.affinitySeconds }),
      },
    },
  })
  const intake = new Intake({
    clock: systemClock,
    random: () => 0,
    log,
    metrics,
    sessions,
    local: { has: isLoopback },
    view: () => served,
    timeouts: { connectTimeoutMs: 200, deadlineMs: 1_000 },
    maxConnections: 1_000,
    listenerPort: 15001,
    dialer: nodeDialer(),
    pump: createStreamPump(systemClock),
    limits: DEFAULT_PUMP_LIMITS,
    selfTestAnswer: () => 'hello\n',
    ...options,
  })
  const listener = await startListener(
    { host: '127.0.0.1', port: 0 },
    {
      clock: systemClock,
      log,
      originalDestination: () => options.destination ?? STEERED,
      take: (socket, destination) => intake.take(socket, destination),
      acceptFailed: () => {},
    },
  )
  t.teardown(() => {
    listener.close()
    sessions.stopAll()
  })
  return {
    intake,
    sessions,
    metrics,
    log,
    dial() {
      const socket = connect({ host: '127.0.0.1', port: listener.address.port, allowHalfOpen: true })
      socket.on('error', () => {})
      t.teardown(() => void socket.destroy())
      return socket
    },
  }
}

/** An endpoint on loopback; what happens on a connection is the test's. */
export async function startEndpoint(
  t: ExecutionContext,
  serve: (socket: Socket) => void,
): Promise<{ readonly endpoint: ViewEndpoint; readonly server: Server; readonly sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return {
    endpoint: { ip: ip('127.0.0.1'), port: (server.address() as AddressInfo).port, local: true },
    server,
    sockets,
  }
}

/** A port of loopback where nobody listens. */
export async function refusingEndpoint(): Promise<ViewEndpoint> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return { ip: ip('127.0.0.1'), port, local: true }
}

export type Ending = 'end' | 'reset'

/** Everything that arrives, and how it ended. */
export function readAll(socket: Socket): Promise<{ readonly data: Buffer; readonly ending: Ending }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const timer = setTimeout(() => reject(new Error('the connection did not end in time')), 20_000)
    const finish = (ending: Ending): void => {
      clearTimeout(timer)
      resolve({ data: Buffer.concat(chunks), ending })
    }
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.once('end', () => finish('end'))
    socket.once('error', () => finish('reset'))
  })
}

/** Polls until true; fails the test after 10 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`never happened: ${what}`)
}

export class RecordingMetrics implements Metrics {
  readonly #values = new Map<string, number>()

  add(name: MetricName, labels: Labels = {}, amount = 1): void {
    const key = `${name} ${JSON.stringify(labels)}`
    this.#values.set(key, (this.#values.get(key) ?? 0) + amount)
  }

  set(name: MetricName, value: number, labels: Labels = {}): void {
    this.#values.set(`${name} ${JSON.stringify(labels)}`, value)
  }

  observe(): void {}

  counter(name: MetricName, labels: Labels = {}): (amount?: number) => void {
    return (amount) => this.add(name, labels, amount)
  }

  histogram(): (value: number) => void {
    return () => {}
  }

  value(name: MetricName, labels: Labels = {}): number {
    return this.#values.get(`${name} ${JSON.stringify(labels)}`) ?? 0
  }
}
