// Fifty Services of mixed kinds, of which a few change at every step, by a seed.

import type { Plan } from '#agent/plan/plan.ts'
import { buildPlan } from '#agent/plan/build.ts'
import type { Snapshot } from '#agent/plan/snapshot.ts'
import { aService, aSlice, aSnapshot, someOptions } from './build.ts'

/** Plans of which each differs from the one before by one to three Services. */
export function* manyServices(seed: number, steps: number): Generator<Plan> {
  const random = randomFrom(seed)
  const versions = Array.from({ length: 50 }, () => 0)
  let previous: { plan: Plan; snapshot: Snapshot } | undefined
  for (let step = 0; step <= steps; step++) {
    if (step > 0)
      for (let i = 0; i <= random(3); i++) {
        const at = random(versions.length)
        versions[at] = random(6)
      }
    const snapshot = snapshotOf(versions, step + 1)
    const plan = buildPlan(snapshot, someOptions(), previous)
    previous = { plan, snapshot }
    yield plan
  }
}

/** Version 0 is an ordinary Service, 1 does not exist, the others add and lose addresses and endpoints. */
function snapshotOf(versions: readonly number[], generation: number): Snapshot {
  const alive = versions
    .map((version, i) => ({ version, i, name: `svc-${i}` }))
    .filter(({ version }) => version !== 1)
  return aSnapshot({
    generation,
    services: alive.map(({ version, i, name }) =>
      aService({
        name,
        type: 'LoadBalancer',
        clusterIps: [`10.96.1.${i}`, `fd00:96::1:${i}`],
        ports: [{ port: 80, nodePort: version === 2 ? 0 : 30000 + i }],
        loadBalancer: version >= 3 ? [`198.51.100.${i}`] : [],
        sourceRanges: version === 4 ? ['192.168.0.0/24'] : [],
        externalTrafficPolicy: version === 5 ? 'Local' : 'Cluster',
        healthCheckNodePort: version === 5 ? 32000 + i : 0,
      }),
    ),
    slices: alive
      .filter(({ version }) => version !== 3)
      .map(({ version, i, name }) =>
        aSlice({
          service: name,
          endpoints: [{ ip: `10.244.2.${i}`, nodeName: version === 5 ? 'n2' : 'n1' }],
        }),
      ),
  })
}

function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 16) % below
  }
}
