// Sets a lab up for a run of the table: servers in every pod, a host beyond that owns the addresses which must stay
// untouched, the manifests of a setting, and an agent on each node that has applied them.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import type { DatapathName } from '#agent/datapath/datapath.ts'

import type { Lab } from '../support/lab/lab.ts'
import { shunt, startShunt, type Shunt } from '../support/lab/shunt.ts'
import { CLIENT, LAN, nodeAddresses, type Topology } from '../support/lab/topology.ts'
import { until } from '../support/lab/wait.ts'
import { flagsOf, type Setting } from './flows.ts'
import { addressesOf, nodeObjects, serviceObjects, writeManifest, type LabFamily } from './objects.ts'
import type { Scenario } from './scenario.ts'

/** What else the agents are told. */
export interface StageOptions {
  readonly datapath: DatapathName
  /** Flags of the variant of the datapath. */
  readonly flags: readonly string[]
  readonly setting: Setting
  readonly steered: boolean
}

export interface Stage {
  readonly lab: Lab
  readonly options: StageOptions
  readonly shunts: readonly Shunt[]
  /** Ends the agents and removes their rules. */
  clear(): Promise<void>
}

/** Number of the Service that tells whether a node has applied everything. */
const CANARY = 250
export const BEYOND = 'beyond'

/** Once for each lab: what listens does not depend on the setting. */
export async function listenEverywhere(lab: Lab): Promise<void> {
  const pods = lab.topology.nodes.flatMap((node) => node.pods)
  await Promise.all(
    pods.map(async (pod) => {
      const peer = await lab.peer(pod.name)
      for (const address of [pod.ipv4, pod.ipv6]) {
        for (const port of [8080, 8081, 8082]) {
          const name = port === 8080 ? pod.name : `${pod.name}:${port}`
          await peer.listen(address, port, { name })
          await peer.listen(address, port, { name, protocol: 'udp' })
        }
      }
    }),
  )
  // Warm, so that the first flows do not pay for it.
  await Promise.all([CLIENT, ...lab.topology.nodes.map((node) => node.name)].map((place) => lab.peer(place)))
}

/** Writes the objects, starts an agent on each node, and waits until both have applied everything. */
export async function setStage(lab: Lab, options: StageOptions): Promise<Stage> {
  await ownUntouched(lab, options.setting.scenarios)
  const folder = join(lab.folder, `manifests-${options.setting.name.replaceAll(/\W+/g, '-')}`)
  writeObjects(folder, options.setting, lab.topology)

  const shunts = lab.topology.nodes.map((node) =>
    startShunt(lab, node.name, {
      command: options.steered ? 'run' : 'agent',
      flags: [
        '--manifests',
        folder,
        '--datapath',
        options.datapath,
        ...options.flags,
        ...flagsOf(options.setting),
        '--steer',
        options.steered ? 'always' : 'never',
      ],
    }),
  )
  const clear = async (): Promise<void> => {
    await Promise.all(shunts.map((shunt) => shunt.stop()))
    for (const node of lab.topology.nodes) {
      const ran = await shunt(lab, node.name, 'cleanup')
      if (ran.code !== 0) throw new Error(`cleanup of ${node.name} failed: ${ran.stdout}${ran.stderr}`)
    }
  }
  try {
    await Promise.all(shunts.map((shunt) => untilApplied(lab, shunt, options.steered)))
  } catch (error) {
    await clear()
    throw error
  }
  return { lab, options, shunts, clear }
}

/** The manifests of a setting: its Services, their slices, the nodes, and the canary. */
export function writeObjects(folder: string, setting: Setting, topology: Topology): void {
  mkdirSync(folder, { recursive: true })
  writeManifest(folder, 'nodes', nodeObjects(topology))
  const canary = { name: 'canary', number: CANARY, type: 'ClusterIP' as const, endpoints: [{ pod: 'p12' }] }
  const services = [...setting.scenarios.map((scenario) => scenario.service), canary]
  for (const service of services) writeManifest(folder, service.name, serviceObjects(service, topology))
}

/** From a pod of the node to the canary; while steering, the endpoint must see the node. */
async function untilApplied(lab: Lab, shunt: Shunt, steered: boolean): Promise<void> {
  const node = lab.node(shunt.node)
  const pod = node.pods.at(-1)
  if (pod === undefined) throw new Error(`${node.name} has no pod to ask from`)
  const peer = await lab.peer(pod.name)
  for (const family of ['IPv4', 'IPv6'] as const satisfies LabFamily[]) {
    await until(
      `${node.name} serves the canary over ${family}`,
      async () => {
        if (!shunt.running()) throw new Error(`the agent of ${node.name} ended:\n${shunt.log()}`)
        const [seen] = await peer.connect(addressesOf(CANARY).clusterIp[family], 80, { timeoutMs: 500 })
        if (seen?.kind !== 'answered') return false
        return !steered || nodeAddresses(node).includes(seen.source)
      },
      { withinMs: 20_000, explain: () => shunt.log().slice(-4000) },
    )
  }
}

/** Gives the host beyond every address that some flow expects to leave its node untouched. */
async function ownUntouched(lab: Lab, scenarios: readonly Scenario[]): Promise<void> {
  const peer = await lab.peer(LAN)
  for (const scenario of scenarios) {
    const addresses = addressesOf(scenario.service.number)
    for (const flow of scenario.flows) {
      if (
        flow.expect.kind !== 'untouched' ||
        flow.to.kind === 'nodePort' ||
        flow.to.kind === 'localhostNodePort'
      )
        continue
      for (const address of Object.values(addresses[flow.to.kind])) {
        const prefix = address.includes(':') ? `${address}/128` : `${address}/32`
        await lab.exec(LAN, ['/usr/sbin/ip', 'addr', 'replace', prefix, 'dev', 'lo', 'nodad'], {
          mayFail: true,
        })
        for (const protocol of ['tcp', 'udp'] as const) {
          await peer.listen(address, flow.port ?? 80, { name: BEYOND, protocol })
        }
      }
    }
  }
}
