// Golden outputs of shunt trace.

import test from 'ava'
import { PROXY_PORT } from '#agent/model/steering-names.ts'
import { agentOf, clusterPlan, kernelOf } from './a-cluster.ts'
import type { FakeParts } from './fake-ports.ts'
import { golden, runCommand } from './run-command.ts'

const plan = clusterPlan()
const steered = clusterPlan('always')

const KERNEL: FakeParts = { agent: agentOf(plan), node: kernelOf(plan) }
const PROXY: FakeParts = { agent: agentOf(steered), node: kernelOf(steered, { proxy: true }) }
const NO_PROXY: FakeParts = { agent: agentOf(steered), node: kernelOf(steered) }
/** One endpoint's rule is gone, the other's leads elsewhere. */
const TAMPERED: FakeParts = {
  agent: agentOf(plan),
  node: kernelOf(plan, {
    tamper: (line) =>
      line.includes('probability') ? undefined : line.replace('10.244.2.6:8080', '10.244.2.9:8080'),
  }),
}

interface Golden {
  readonly what: string
  readonly line: string
  readonly parts: FakeParts
  readonly code: number
  readonly stdout?: string
  readonly stderr?: string
}

const CASES: readonly Golden[] = [
  {
    what: 'a Pod to a ClusterIP',
    line: 'trace 10.244.1.9 10.96.0.10:80',
    parts: KERNEL,
    code: 0,
    stdout: `
      frontend   default/web:http/TCP · ClusterIP 10.96.0.10:80
      client     a Pod: 10.244.1.9 is in 10.244.0.0/16
      policy     forward: internalTrafficPolicy Cluster, any endpoint; keep the source
      endpoints  random over 2
      steering   not steered: no route or policy selects this port and nothing asks for the proxy
      plan       forward · random over 2 · keep source
      kernel     iptables nat: PREROUTING → KUBE-SERVICES rule 2/3 → KUBE-SVC-CDGGSHYLG3RE2FKL
                   50.0%  KUBE-SEP-AFGSLHOD2HFNCBX4 → 10.244.1.5:8080   ready · this node
                   50.0%  KUBE-SEP-3OLK2YUW6LHBC4UX → 10.244.2.6:8080   ready · node n2
      now        kernel takes a new connection: it is not steered
      verdict    kernel agrees with plan (read 0 ms ago, generation 42)
    `,
  },
  {
    what: 'outside to a NodePort',
    line: 'trace 203.0.113.7 192.168.0.10:30080',
    parts: KERNEL,
    code: 0,
    stdout: `
      frontend   default/web:http/TCP · NodePort 192.168.0.10:30080
      client     outside: 203.0.113.7 is neither a Pod's by the local detector nor this node's
      policy     forward: externalTrafficPolicy Cluster, any endpoint; masquerade
      endpoints  random over 2
      steering   not steered: no route or policy selects this port and nothing asks for the proxy
      plan       forward · random over 2 · masquerade
      kernel     iptables nat: PREROUTING → KUBE-SERVICES rule 3/3 → KUBE-NODEPORTS rule 1/1 → KUBE-EXT-CDGGSHYLG3RE2FKL rule 2/2 → KUBE-SVC-CDGGSHYLG3RE2FKL
                   50.0%  KUBE-SEP-AFGSLHOD2HFNCBX4 → 10.244.1.5:8080 · masqueraded   ready · this node
                   50.0%  KUBE-SEP-3OLK2YUW6LHBC4UX → 10.244.2.6:8080 · masqueraded   ready · node n2
      now        kernel takes a new connection: it is not steered
      verdict    kernel agrees with plan (read 0 ms ago, generation 42)
    `,
  },
  {
    what: 'a Service without endpoints',
    line: 'trace 10.244.1.9 10.96.0.11:80',
    parts: KERNEL,
    code: 0,
    stdout: `
      frontend  default/empty/TCP · ClusterIP 10.96.0.11:80
      client    a Pod: 10.244.1.9 is in 10.244.0.0/16
      policy    reject: the Service port has no usable endpoint
      plan      reject
      kernel    iptables filter: FORWARD → KUBE-SERVICES rule 2/2 → REJECT
                  100.0%  rejects it
      now       nobody takes a new connection: it is refused
      verdict   kernel agrees with plan (read 0 ms ago, generation 42)
    `,
  },
  {
    what: 'no Service',
    line: 'trace 8.8.8.8 1.1.1.1:53 --proto udp',
    parts: KERNEL,
    code: 0,
    stdout: `
      frontend  no Service has 1.1.1.1:53/UDP
      plan      pass · not a Service address
      kernel    iptables: no rule of ours decides
                  100.0%  leaves it alone
      now       kernel takes a new connection: it is not steered
      verdict   kernel agrees with plan (read 0 ms ago, generation 42)
    `,
  },
  {
    what: 'steered, and the proxy is there',
    line: 'trace 10.244.1.9 10.96.0.10:80',
    parts: PROXY,
    code: 0,
    stdout: `
      frontend   default/web:http/TCP · ClusterIP 10.96.0.10:80
      client     a Pod: 10.244.1.9 is in 10.244.0.0/16
      policy     forward: internalTrafficPolicy Cluster, any endpoint; keep the source
      endpoints  random over 2
      steering   to the proxy (by annotation); when it is down: the kernel balances
      plan       forward · random over 2 · steered: sees the node · by the kernel: keep source
                   50.0%  10.244.1.5:8080   ready · this node
                   50.0%  10.244.2.6:8080   ready · node n2
      kernel     iptables mangle: PREROUTING → SHUNT-STEER rule 3/3 → SHUNT-STEER-NEW rule 1/3 → SHUNT-STEER-TAKE rule 2/2 → MARK
                   100.0%  hands it to the proxy
      proxy      ready
                   set SHUNT-STEER-4    ✓ has the address
                   set SHUNT-LIVE       ✓ the heartbeat of the proxy holds (under 1 s left)
                   ip rule, table 5390  ✓ marked packets are delivered on the node
                   BPF map              ✓ has the address
                   listener             ✓ the proxy listens
      now        proxy takes a new connection: the proxy is ready
      verdict    kernel agrees with plan (read 0 ms ago, generation 42)
    `,
  },
  {
    what: 'steered, and the proxy is gone: the kernel balances',
    line: 'trace 10.244.1.9 10.96.0.10:80',
    parts: NO_PROXY,
    code: 0,
    stdout: `
      frontend   default/web:http/TCP · ClusterIP 10.96.0.10:80
      client     a Pod: 10.244.1.9 is in 10.244.0.0/16
      policy     forward: internalTrafficPolicy Cluster, any endpoint; keep the source
      endpoints  random over 2
      steering   to the proxy (by annotation); when it is down: the kernel balances
      plan       forward · random over 2 · steered: sees the node · by the kernel: keep source
      kernel     iptables nat: PREROUTING → KUBE-SERVICES rule 2/3 → KUBE-SVC-CDGGSHYLG3RE2FKL
                   50.0%  KUBE-SEP-AFGSLHOD2HFNCBX4 → 10.244.1.5:8080   ready · this node
                   50.0%  KUBE-SEP-3OLK2YUW6LHBC4UX → 10.244.2.6:8080   ready · node n2
      proxy      not ready: the heartbeat of the proxy is over
                   set SHUNT-STEER-4    ✓ has the address
                   set SHUNT-LIVE       ✗ the heartbeat of the proxy is over
                   ip rule, table 5390  ✓ marked packets are delivered on the node
                   BPF map              ✓ has the address
                   listener             ✗ no proxy listens for IPv4
      now        kernel takes a new connection: the heartbeat of the proxy is over
      verdict    kernel agrees with plan (read 0 ms ago, generation 42)
    `,
  },
  {
    what: 'somebody changed the rules',
    line: 'trace 10.244.1.9 10.96.0.10:80',
    parts: TAMPERED,
    code: 1,
    stdout: `
      frontend   default/web:http/TCP · ClusterIP 10.96.0.10:80
      client     a Pod: 10.244.1.9 is in 10.244.0.0/16
      policy     forward: internalTrafficPolicy Cluster, any endpoint; keep the source
      endpoints  random over 2
      steering   not steered: no route or policy selects this port and nothing asks for the proxy
      plan       forward · random over 2 · keep source
      kernel     iptables nat: PREROUTING → KUBE-SERVICES rule 2/3 → KUBE-SVC-CDGGSHYLG3RE2FKL
                   100.0%  KUBE-SEP-3OLK2YUW6LHBC4UX → 10.244.2.9:8080   not an endpoint of the plan
      now        kernel takes a new connection: it is not steered
      verdict    kernel differs from plan (read 0 ms ago, generation 42)
                   ✗ with 100.0% the kernel sends it to 10.244.2.9:8080, which the plan does not say
                   ✗ the kernel never chooses 10.244.1.5:8080
                   ✗ the kernel never chooses 10.244.2.6:8080
    `,
  },
  {
    what: 'a source that is a name',
    line: 'trace web 10.96.0.10:80',
    parts: KERNEL,
    code: 2,
    stderr: `
      error: source web is not an address (USAGE)
      hint: give the address of the client: names of Pods are not known here
    `,
  },
  {
    what: 'a destination that is a name',
    line: 'trace 10.0.0.1 web:80',
    parts: KERNEL,
    code: 2,
    stderr: `
      error: destination web:80 is not an address and port (USAGE)
      hint: write 10.96.0.10:53 or [fd00::10]:53; names are not resolved
    `,
  },
  {
    what: 'a protocol without ports',
    line: 'trace 10.0.0.1 10.96.0.10:80 --proto icmp',
    parts: KERNEL,
    code: 2,
    stderr: `
      error: protocol icmp is unknown (USAGE)
      hint: one of tcp, udp, sctp
    `,
  },
  {
    what: 'two families',
    line: 'trace ::1 10.96.0.10:80',
    parts: KERNEL,
    code: 2,
    stderr: `
      error: source ::1 and destination 10.96.0.10 are of different families (USAGE)
      hint: run the command with --help
    `,
  },
]

test('a connection that DNAT leads to the proxy is not said to miss the endpoints', async (t) => {
  const byDnat = clusterPlan('always', { steering: { mechanism: 'dnat', proxyPort: PROXY_PORT } })
  const parts = { agent: agentOf(byDnat), node: kernelOf(byDnat, { proxy: true }) }
  const { stdout } = await runCommand('trace 10.244.1.9 10.96.0.10:80', parts)
  t.regex(stdout, /^kernel .* → SHUNT-STEER-TAKE rule .*\n +100\.0% {2}hands it to the proxy\n/m)
})

for (const { what, line, parts, code, stdout, stderr } of CASES)
  test(`${what}: shunt ${line}`, async (t) => {
    t.deepEqual(await runCommand(line, parts), {
      code,
      stdout: stdout === undefined ? '' : golden(stdout),
      stderr: stderr === undefined ? '' : golden(stderr),
    })
  })

test('the JSON of a trace has expected and actual side by side', async (t) => {
  const { code, stdout } = await runCommand('trace 10.244.1.9 10.96.0.10:80 -o json', NO_PROXY)
  const data = JSON.parse(stdout) as {
    readonly agrees: boolean
    readonly differences: readonly string[]
    readonly expected: { readonly outcome: { readonly kind: string; readonly steered: boolean } }
    readonly actual: {
      readonly fates: readonly {
        readonly probability: number
        readonly destination: { readonly ip: string }
      }[]
      readonly taker: { readonly kind: string }
      readonly steering: { readonly ready: boolean }
    }
  }
  t.is(code, 0)
  t.true(data.agrees)
  t.deepEqual(data.differences, [])
  t.like(data.expected.outcome, { kind: 'forward', steered: true })
  t.deepEqual(
    data.actual.fates.map((fate) => [fate.probability, fate.destination.ip]),
    [
      [0.5, '10.244.1.5'],
      [0.5, '10.244.2.6'],
    ],
  )
  t.is(data.actual.taker.kind, 'kernel')
  t.false(data.actual.steering.ready)
})

test('what the agent owes to steering is a difference', async (t) => {
  const node = kernelOf(steered, { proxy: true })
  const sets = new Map(await node.sets?.())
  sets.set('SHUNT-STEER-4', [])
  const { code, stdout } = await runCommand('trace 10.244.1.9 10.96.0.10:80', {
    agent: agentOf(steered),
    node: { ...node, sets: () => Promise.resolve(sets) },
  })
  t.is(code, 1)
  t.regex(stdout, /now +kernel takes a new connection: the address is not in the set SHUNT-STEER-4/)
  t.regex(stdout, /✗ the address is not in the set SHUNT-STEER-4\n$/)
})

test('a client that affinity remembers goes to one endpoint, and that is no difference', async (t) => {
  const { aService, aSlice, ip, planOf } = await import('#test/support/build.ts')
  const sticky = planOf({
    services: [aService({ affinity: { kind: 'ClientIP', timeoutSeconds: 60 } })],
    slices: [aSlice({ endpoints: ['10.244.1.5', '10.244.1.6'] })],
  })
  const { code, stdout } = await runCommand('trace 10.244.1.9 10.96.0.10:80', {
    agent: agentOf(sticky),
    node: { ...kernelOf(sticky), recentClients: () => new Set([ip('10.244.1.9')]) },
  })
  t.is(code, 0)
  t.regex(stdout, /100\.0% .* 10\.244\.1\.5:8080/)
})
