// Which chains a Service port has and which of them each of its addresses goes to. kube-proxy has one KUBE-EXT and one
// KUBE-FW chain per Service port; a plan in which addresses differ gets one per distinct content, the first with
// kube-proxy's name.

import type {
  ClientKind,
  Frontend,
  ServicePortPlan,
  SourceFilter,
  Verdict,
  Verdicts,
} from '../../plan/plan.ts'
import { clientKinds } from './clients.ts'
import type { FamilyContext } from './context.ts'
import { chainHash, serviceChain, servicePortLabel, servicePortSeed } from './names.ts'

export interface ServiceLayout {
  readonly label: string
  readonly seed: string
  readonly hash: string
  /** KUBE-EXT chains by name. */
  readonly external: ReadonlyMap<string, Verdicts>
  /** KUBE-FW chains by name. */
  readonly firewall: ReadonlyMap<string, FirewallChain>
  /** Dispatched frontends and where nat sends them; ClusterIPs are not here, they go to the pools' chains. */
  readonly targets: ReadonlyMap<Frontend, string>
}

export interface FirewallChain {
  readonly sources: SourceFilter
  /** Where allowed sources go on. */
  readonly external: string
}

export function serviceLayout(port: ServicePortPlan, context: FamilyContext): ServiceLayout {
  const seed = servicePortSeed(port)
  const hashed = seedHash(port, seed)
  const external = new Map<string, Verdicts>()
  const firewall = new Map<string, FirewallChain>()
  const targets = new Map<Frontend, string>()
  for (const frontend of port.frontends) {
    if (frontend.kind === 'ClusterIP' || !isDispatched(frontend, context)) continue
    const ext = findOrAdd(external, 'EXT', hashed, seed, frontend.verdicts)
    const chain =
      frontend.sources === undefined
        ? ext
        : findOrAdd(firewall, 'FW', hashed, seed, { sources: frontend.sources, external: ext })
    targets.set(frontend, chain)
  }
  return { label: servicePortLabel(port), seed, hash: hashed, external, firewall, targets }
}

/** The chain that draws an endpoint of a pool. */
export function poolChain(layout: Pick<ServiceLayout, 'hash'>, pool: 'cluster' | 'local'): string {
  return serviceChain(pool === 'cluster' ? 'SVC' : 'SVL', layout.hash)
}

/** True if nat has to look at the frontend: somebody is forwarded, and by the kernel. */
export function isDispatched(
  frontend: Frontend,
  context: Pick<FamilyContext, 'detector' | 'mechanism'>,
): boolean {
  return !frontend.proxyOnly && verdictsInUse(frontend, context).some(isForward)
}

export function isForward(verdict: Verdict): verdict is Extract<Verdict, { kind: 'forward' }> {
  return verdict.kind === 'forward'
}

/** The verdicts of the clients that this node can tell apart. */
function verdictsInUse(frontend: Frontend, { detector }: Pick<FamilyContext, 'detector'>): Verdict[] {
  return clientKinds(detector).map((kind: ClientKind) => frontend.verdicts[kind])
}

/** A Service port's hash is asked for at every render; ten thousand SHA-256 are most of the time of one. */
const seedHashes = new WeakMap<ServicePortPlan, string>()

function seedHash(port: ServicePortPlan, seed: string): string {
  let hashed = seedHashes.get(port)
  if (hashed === undefined) {
    hashed = chainHash(seed)
    seedHashes.set(port, hashed)
  }
  return hashed
}

function findOrAdd<V>(
  chains: Map<string, V>,
  kind: 'EXT' | 'FW',
  hashed: string,
  seed: string,
  content: V,
): string {
  const signature = JSON.stringify(content)
  for (const [name, known] of chains) if (JSON.stringify(known) === signature) return name
  const name = serviceChain(kind, chains.size === 0 ? hashed : chainHash(`${seed}#${chains.size}`))
  chains.set(name, content)
  return name
}
