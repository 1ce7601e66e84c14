// The stage of the story: minikube's two nodes and their pods, the echo servers, the agents and the proxies, and the
// ways in which the story acts on them.

import { join } from 'node:path'

import { createLab, type Lab } from '../../test/support/lab/lab.ts'
import type { Peer } from '../../test/support/lab/peer.ts'
import type { Seen } from '../../test/support/lab/peer-messages.ts'
import type { Ran } from '../../test/support/lab/processes.ts'
import { shunt, startShunt, type Shunt } from '../../test/support/lab/shunt.ts'
import { MINIKUBE } from '../../test/support/lab/topology.ts'
import { until } from '../../test/support/lab/wait.ts'
import { copyObjects, type Objects } from './objects.ts'
import type { Teller } from './teller.ts'

export const NODE = 'minikube'
export const OTHER_NODE = 'minikube-m02'
export const CLUSTER_IP = '10.97.95.146'
export const PORT = 8080
export const NODE_PORT = 31_286
export const NODE_IP = '192.168.49.2'
export const HELLO_1 = { name: 'hello-1', ip: '172.17.0.5' } as const
export const HELLO_2 = { name: 'hello-2', ip: '172.17.0.7' } as const
/** A pod of the node that is only a client. */
export const SHELL = { name: 'shell', ip: '172.17.0.9' } as const

export interface World {
  readonly lab: Lab
  readonly tell: Teller
  readonly objects: Objects
  /** The client pod's process. */
  readonly shell: Peer
  agent(): Shunt
  proxy(): Shunt
  startAgent(): void
  startProxy(): void
  /** Runs a program at a place and tells it as a command line. */
  type(place: string, argv: readonly string[]): Promise<Ran>
  /** Runs `shunt …` on the first node and tells it. */
  shunt(...args: readonly string[]): Promise<Ran>
  /** Waits until connections of the client pod go this way: the endpoint sees the pod, or the node. */
  untilPath(way: 'kernel' | 'proxy', withinMs?: number): Promise<number>
  close(): Promise<void>
}

/** Names of places as the story shows them. */
const PROMPTS: Readonly<Record<string, string>> = {
  client: 'outside',
  shell: 'pod/shell',
  'shell-m02': 'pod/shell-m02',
}

export async function buildWorld(tell: Teller, outlives: boolean): Promise<World> {
  const lab = await createLab(MINIKUBE, outlives ? { outlives: 'demo' } : {})
  try {
    // What Docker would have put there before us: cleanup must leave it alone.
    const masquerade = ['-s', '172.17.0.0/16', '!', '-o', 'docker0', '-j', 'MASQUERADE']
    await lab.exec(NODE, ['/usr/sbin/iptables', '-t', 'nat', '-A', 'POSTROUTING', ...masquerade])
    await Promise.all(
      [HELLO_1, HELLO_2].map(async (pod) => (await lab.peer(pod.name)).listen(pod.ip, PORT, pod)),
    )
    const shell = await lab.peer(SHELL.name)
    return worldOf(lab, tell, copyObjects(join(lab.folder, 'manifests')), shell)
  } catch (error) {
    await lab.close()
    throw error
  }
}

function worldOf(lab: Lab, tell: Teller, objects: Objects, shell: Peer): World {
  let agent: Shunt | undefined
  let proxy: Shunt | undefined
  const flags = ['--manifests', objects.folder, '--cluster-cidr', '172.16.0.0/12']
  startShunt(lab, OTHER_NODE, { command: 'run', flags })
  const world: World = {
    lab,
    tell,
    objects,
    shell,
    agent: () => agent ?? fail('no agent was started'),
    proxy: () => proxy ?? fail('no proxy was started'),
    startAgent: () => {
      agent = startShunt(lab, NODE, { command: 'agent', flags })
    },
    startProxy: () => {
      proxy = startShunt(lab, NODE, { command: 'proxy', flags: [] })
    },
    type: async (place, argv) => {
      const ran = await lab.exec(place, argv, { mayFail: true })
      tell.command(PROMPTS[place] ?? place, shown(argv), ran.stdout + ran.stderr)
      return ran
    },
    shunt: async (...args) => {
      const ran = await shunt(lab, NODE, ...args)
      tell.command(NODE, `shunt ${args.join(' ')}`, ran.stdout + ran.stderr)
      return ran
    },
    untilPath: (way, withinMs = 10_000) =>
      until(
        `connections of ${SHELL.name} go through the ${way}`,
        async () => {
          if (agent?.running() === false) throw new Error(`the agent ended:\n${agent.log()}`)
          const seen = await shell.connect(CLUSTER_IP, PORT, { count: 4, timeoutMs: 1000 })
          return (
            seen.some((one) => one.kind === 'answered') && seen.every((one) => pathOf(one) !== other(way))
          )
        },
        {
          withinMs,
          everyMs: 20,
          explain: () => [agent, proxy].map((one) => one?.log().slice(-3000)).join('\n'),
        },
      ),
    close: () => lab.close(),
  }
  return world
}

/** Which way a connection of the client pod went: only the kernel leaves the pod's address as it is. */
export function pathOf(seen: Seen): 'kernel' | 'proxy' | undefined {
  if (seen.kind !== 'answered') return undefined
  return seen.source === SHELL.ip ? 'kernel' : 'proxy'
}

function other(way: 'kernel' | 'proxy'): 'kernel' | 'proxy' {
  return way === 'kernel' ? 'proxy' : 'kernel'
}

/** As an operator types it: programs by name, arguments with spaces in quotes. */
function shown(argv: readonly string[]): string {
  const [program = '', ...rest] = argv
  const words = rest.map((word) => (/[\s|;&*]/.test(word) ? `'${word}'` : word))
  return [program.replace(/^.*\//, ''), ...words].join(' ')
}

function fail(message: string): never {
  throw new Error(message)
}
