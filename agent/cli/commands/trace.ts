// shunt trace: the fate of the first packet of a connection, expected (plan) beside actual (the kernel's own state).

import { walk, type WalkWorld } from '../../datapath/iptables/walk.ts'
import { familyOf, type Ip } from '../../model/ip.ts'
import { STEERED_MARK, STEERED_MATCH_MASK } from '../../model/steering-names.ts'
import { explain } from '../../plan/explain.ts'
import type { Packet } from '../../plan/packet.ts'
import type { Explanation } from '../../plan/explanation.ts'
import type { Plan } from '../../plan/plan.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { format } from '../output.ts'
import { openNode, VARIANT_OPTION } from '../node-settings.ts'
import { MANIFESTS_OPTION, PLAN_OPTIONS, sourcePlan } from '../plan-source.ts'
import { RUN_DIR_OPTION } from '../run-paths.ts'
import type { NodePorts, Ports } from '../ports.ts'
import { compare } from '../trace/compare.ts'
import { readPacket, UNNAMED_INTERFACE } from '../trace/packet.ts'
import { printedTrace, type ActualTrace } from '../trace/print.ts'
import { inSet } from '../trace/sets.ts'
import { steeringFacts } from '../trace/steering-facts.ts'

export const trace: Command = {
  spec: {
    name: 'trace',
    summary: 'follow a connection step by step: what the plan expects beside what the kernel does',
    details:
      'Reads the live iptables rules, ipsets, ip rules and BPF maps, walks them with the first packet of a new ' +
      'connection, and compares the result with the plan. Nothing is sent and nothing is changed. Exits with 1 if the ' +
      'kernel differs from the plan. `-o wide` prints every rule on the way. Only the chains of Shunt and kube-proxy ' +
      'are walked; rules of other programs may do more.',
    arguments: [
      { syntax: '<source>', description: 'address of the client' },
      { syntax: '<destination>', description: 'ADDRESS:PORT, [ADDRESS]:PORT for IPv6' },
    ],
    options: [
      { flags: '--proto <protocol>', description: 'tcp, udp or sctp', default: 'tcp' },
      {
        flags: '-i, --in-interface <name>',
        description: "interface that it comes in by (default: none for the node's own addresses)",
      },
      MANIFESTS_OPTION,
      ...PLAN_OPTIONS,
      VARIANT_OPTION,
      RUN_DIR_OPTION,
    ],
    prints: true,
    examples: [
      { line: 'shunt trace 10.244.1.12 10.97.95.146:8080', explains: 'from a Pod to a ClusterIP' },
      {
        line: 'shunt trace 192.0.2.7 192.168.49.2:31286 -o wide',
        explains: 'from outside to a NodePort, with the rules',
      },
      {
        line: 'shunt trace 10.0.0.9 10.96.0.10:53 --proto udp -f manifests/',
        explains: 'what the manifests would mean',
      },
    ],
  },
  async run(ports, input) {
    const { plan, offline } = await sourcePlan(ports, input)
    const node = offline ? undefined : await openNode(ports, input)
    // Offline the node's addresses are those that its Node object has, not those of the machine that this runs on.
    const localAddresses = node === undefined ? addressesOf(plan) : node.localAddresses()
    const packet = readPacket(
      {
        source: input.argument(0) ?? '',
        destination: input.argument(1) ?? '',
        protocol: input.text('proto') ?? 'tcp',
        inInterface: input.text('inInterface'),
      },
      localAddresses,
    )
    const expected = explain(plan, packet, { localAddresses })
    if (packet.inInterface === UNNAMED_INTERFACE && tellsByInterface(plan, packet))
      ports.stderr(
        "note: this node tells Pods by their interface; without --in-interface it is nobody's Pod\n",
      )
    const actual = node === undefined ? undefined : await traceKernel(ports, node, plan, packet, expected)
    ports.stdout(
      format(printedTrace({ packet, generation: plan.generation, expected, actual }), input.outputFormat()),
    )
    return actual === undefined || actual.comparison.differences.length === 0 ? EXIT.ok : EXIT.failed
  },
}

async function traceKernel(
  ports: Ports,
  node: NodePorts,
  plan: Plan,
  packet: Packet,
  expected: Explanation,
): Promise<ActualTrace> {
  const family = familyOf(packet.destination)
  const startedMs = ports.clock.monotonicMs()
  const [tables, sets, steerState] = await Promise.all([
    node.rules(family),
    node.sets(),
    node.steering.read(),
  ])
  const nodePort = expected.match?.frontend.kind === 'NodePort'
  const destination = { ip: packet.destination, port: packet.port }
  const { mechanism } = plan.options.steering
  const steering = steeringFacts(destination, nodePort, mechanism, sets, steerState)
  const world: WalkWorld = {
    localAddresses: node.localAddresses(),
    inSet: (name, asked) => inSet(sets, name, asked),
    isRecent: (list, client) => node.recentClients(list).has(client),
    hasListener: () =>
      steerState.skLookup.kind === 'attached' && steerState.skLookup.listeners.includes(family),
    deliversMark: (mark) =>
      (mark & STEERED_MATCH_MASK) >>> 0 === STEERED_MARK && steerState.routedFamilies.includes(family),
  }
  const walked = walk(tables, packet, world)
  return {
    walk: walked,
    steering,
    comparison: compare(expected.outcome, walked, steering),
    readMs: ports.clock.monotonicMs() - startedMs,
  }
}

function tellsByInterface(plan: Plan, packet: Packet): boolean {
  const kind = plan.families[familyOf(packet.destination)]?.localDetector.kind
  return kind === 'interface' || kind === 'interfacePrefix'
}

function addressesOf(plan: Plan): ReadonlySet<Ip> {
  return new Set(Object.values(plan.families).flatMap((family) => family.nodeAddresses))
}
