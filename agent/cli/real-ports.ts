// The ports of a real process. What a command does not need is not even loaded: `shunt --help` must not wait for the
// addon, and a debugging command not for the agent.

import { loadManifests } from '../cluster/manifests.ts'
import { loadConfiguration } from '../config/load.ts'
import { planOptionsOf } from '../config/plan-options.ts'
import { systemClock } from '../kernel/clock.ts'
import { FAMILIES } from '../model/ip.ts'
import { buildPlan } from '../plan/build.ts'
import { adminClient } from './admin-client.ts'
import type { OfflineSource, Ports } from './ports.ts'

export function realPorts(): Ports {
  return {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    clock: systemClock,
    configuration: async (flags) => (await loadConfiguration({ command: 'cli', flags })).configuration,
    agent: (paths) => adminClient('agent', paths.agentSocket),
    proxy: (paths) => adminClient('proxy', paths.proxySocket),
    manifests: readOffline,
    node: async (paths, settings) => {
      const { realNode } = await import('./real-node.ts')
      return realNode(paths, settings)
    },
    processes: {
      agent: async (flags) => {
        const { startAgent } = await import('./real-processes.ts')
        return await startAgent(flags)
      },
      proxy: async (flags) => {
        const { startProxy } = await import('./real-processes.ts')
        return await startProxy(flags)
      },
      run: async (flags) => {
        const { startRun } = await import('./real-processes.ts')
        return await startRun(flags)
      },
    },
  }
}

/** The kernel is not asked: both families, and the mechanism that an agent would try first. */
async function readOffline(path: string, flags: Readonly<Record<string, string>>): Promise<OfflineSource> {
  const { configuration } = await loadConfiguration({ command: 'cli', flags })
  const { snapshot, objects, problems } = await loadManifests(path, configuration.nodeName)
  return {
    objects,
    problems,
    plan: () =>
      buildPlan(
        snapshot,
        planOptionsOf(configuration, { semantics: 'iptables', families: FAMILIES, mechanism: 'sk_lookup' }),
      ),
  }
}
