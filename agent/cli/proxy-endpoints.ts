// What the proxy says of endpoints, for the commands that show them; without a proxy there is nothing to say.

import { ShuntError } from '../model/errors.ts'
import type { Plan } from '../plan/plan.ts'
import type { EndpointState, ProxyEndpoints } from '../proxy/endpoint-states.ts'
import type { Input } from './input.ts'
import { allPorts } from './plan-text.ts'
import type { Ports } from './ports.ts'
import { runPaths } from './run-paths.ts'

/** By key of the Service port, then by `ip:port`. */
export type ProxiedEndpoints = ReadonlyMap<string, ReadonlyMap<string, EndpointState>>

/** Asked only if something is steered. A proxy that does not answer is a note, not an error. */
export async function proxyEndpoints(ports: Ports, input: Input, plan: Plan): Promise<ProxiedEndpoints> {
  if (!allPorts(plan).some(({ steering }) => steering.kind === 'steered')) return new Map()
  try {
    const proxy = ports.proxy(await runPaths(ports, input))
    return byService(((await proxy.get('/endpoints')) as ProxyEndpoints).endpoints)
  } catch (error) {
    if (!(error instanceof ShuntError) || error.code !== 'PEER_UNREACHABLE') throw error
    ports.stderr(`note: ${error.message}; what it ejected is not shown\n`)
    return new Map()
  }
}

function byService(states: readonly EndpointState[]): ProxiedEndpoints {
  const services = new Map<string, Map<string, EndpointState>>()
  for (const state of states) {
    const endpoints = services.get(state.service) ?? new Map<string, EndpointState>()
    services.set(state.service, endpoints.set(state.endpoint, state))
  }
  return services
}
