// An agent and a proxy on one node of a lab, as two processes that a test can kill one by one.

import { nodeAddresses } from './topology.ts'
import type { Lab } from './lab.ts'
import { startShunt, type Shunt } from './shunt.ts'
import { until } from './wait.ts'

export interface Pair {
  readonly node: string
  agent: Shunt
  proxy: Shunt
  /** Flags beside those of the pair's own. */
  startAgent(flags?: readonly string[]): Shunt
  startProxy(): Shunt
  /** The last lines of both logs, for failure reports. */
  readonly logs: () => string
  stop(): Promise<void>
}

/** Who takes new connections of a client pod: its own address reaches the endpoint only through the kernel. */
export type Way = 'kernel' | 'proxy'

export function startPair(
  lab: Lab,
  node: string,
  flags: readonly string[],
  agentFlags: readonly string[] = [],
  proxyFlags: readonly string[] = [],
): Pair {
  const startAgent = (more: readonly string[] = []): Shunt =>
    startShunt(lab, node, { command: 'agent', flags: [...flags, ...more] })
  const startProxy = (): Shunt => startShunt(lab, node, { command: 'proxy', flags: proxyFlags })
  const pair: Pair = {
    node,
    agent: startAgent(agentFlags),
    proxy: startProxy(),
    startAgent: (more) => (pair.agent = startAgent(more)),
    startProxy: () => (pair.proxy = startProxy()),
    logs: () =>
      [pair.agent, pair.proxy]
        .map((one, i) => `--- ${i === 0 ? 'agent' : 'proxy'}\n${one.log().slice(-3000)}`)
        .join('\n'),
    stop: async () => {
      await Promise.all([pair.agent.stop(), pair.proxy.stop()])
    },
  }
  return pair
}

/** Waits until connections from a pod to an address go this way. Milliseconds that it took. */
export function untilWay(
  lab: Lab,
  options: {
    readonly from: string
    readonly to: string
    readonly port: number
    readonly node: string
    readonly way: Way
    readonly withinMs?: number
    readonly logs: () => string
    /** Nothing to wait for once this is false. */
    readonly alive?: () => boolean
  },
): Promise<number> {
  const masquerades = nodeAddresses(lab.node(options.node))
  return until(
    `connections from ${options.from} to ${options.to} go through the ${options.way}`,
    async () => {
      if (options.alive?.() === false) throw new Error(`it ended before that:\n${options.logs()}`)
      const peer = await lab.peer(options.from)
      const seen = await peer.connect(options.to, options.port, { count: 3, timeoutMs: 800 })
      return seen.every(
        (one) => one.kind === 'answered' && masquerades.includes(one.source) === (options.way === 'proxy'),
      )
    },
    { withinMs: options.withinMs ?? 20_000, explain: options.logs },
  )
}
