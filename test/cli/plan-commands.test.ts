// Golden outputs of the commands that show a plan.

import test from 'ava'
import { agentOf, clusterPlan, kernelOf, policyPlan } from './a-cluster.ts'
import type { EndpointState, ProxyEndpoints } from '#agent/proxy/endpoint-states.ts'
import type { FakeParts } from './fake-ports.ts'
import { golden, runCommand } from './run-command.ts'

const plan = clusterPlan()
const steered = clusterPlan('always')

const KERNEL: FakeParts = { agent: agentOf(plan), node: kernelOf(plan) }
const PROXY: FakeParts = { agent: agentOf(steered), node: kernelOf(steered, { proxy: true }) }
const EJECTED: EndpointState = {
  service: 'default/web/TCP',
  endpoint: '10.244.2.6:8080',
  connections: 3,
  failures: 0,
  ejectedForMs: 12_400,
  ejections: 1,
}
const POLICY: FakeParts = {
  agent: agentOf(policyPlan()),
  proxy: { '/endpoints': { endpoints: [EJECTED] } satisfies ProxyEndpoints },
}
const NOBODY: FakeParts = {}

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
    what: 'every Service',
    line: 'services',
    parts: KERNEL,
    code: 0,
    stdout: `
      SERVICE        PORT         ADDRESSES               ENDPOINTS  STEERED
      default/empty  80/TCP       10.96.0.11:80                   0  no (no route or policy selects this port and nothing asks for the proxy)
      default/web    http 80/TCP  10.96.0.10:80,*:30080  2 (1 here)  no (no route or policy selects this port and nothing asks for the proxy)
    `,
  },
  {
    what: 'one Service with every column',
    line: 'services web -o wide',
    parts: KERNEL,
    code: 0,
    stdout: `
      SERVICE      PORT         FAMILY  ADDRESSES               ENDPOINTS  LOCAL ENDPOINTS  INTERNAL POLICY  EXTERNAL POLICY  AFFINITY  POLICY  TLS ROUTES  STEERED
      default/web  http 80/TCP  IPv4    10.96.0.10:80,*:30080  2 (1 here)                1  Cluster          Cluster          -         -       -           no (no route or policy selects this port and nothing asks for the proxy)
    `,
  },
  {
    what: 'one Service as YAML',
    line: 'services default/web -o yaml',
    parts: PROXY,
    code: 0,
    stdout: `
      - service: default/web
        port: http 80/TCP
        family: IPv4
        addresses:
          - 10.96.0.10:80
          - "*:30080"
        endpoints: 2
        localEndpoints: 1
        internalPolicy: Cluster
        externalPolicy: Cluster
        affinity: null
        policy: null
        tlsRoutes: []
        steered: true
        steeringReason: annotation
    `,
  },
  {
    what: 'a Service that is not there',
    line: 'services nope',
    parts: KERNEL,
    code: 1,
    stderr: `
      error: no Service nope in the plan (NOT_FOUND)
      hint: list what exists with \`shunt services\`; headless and ExternalName Services have no addresses to carry
    `,
  },
  {
    what: 'no agent',
    line: 'services',
    parts: NOBODY,
    code: 3,
    stderr: `
      error: the agent does not answer (PEER_UNREACHABLE)
      hint: see \`shunt status\`; start it with \`shunt run\`
    `,
  },
  {
    what: 'endpoints and their pools',
    line: 'endpoints',
    parts: KERNEL,
    code: 0,
    stdout: `
      SERVICE      PORT         ENDPOINT         STATE  HERE  NODE  POOLS
      default/web  http 80/TCP  10.244.1.5:8080  ready  yes   n1    cluster,local
      default/web  http 80/TCP  10.244.2.6:8080  ready  no    n2    cluster
    `,
  },
  {
    what: 'the plan',
    line: 'plan',
    parts: PROXY,
    code: 0,
    stdout: `
      node        n1
      generation  42
      semantics   iptables
      steering    sk_lookup, proxy port 15001, steer auto
      IPv4        Pods by 10.244.0.0/16 · NodePorts on every local address
                    default/empty/TCP
                      ClusterIP  10.96.0.11:80   reject
                      endpoint   none
                      affinity   client address, 60 s
                      steered    no (no route or policy selects this port and nothing asks for the proxy)
                    default/web:http/TCP
                      ClusterIP  10.96.0.10:80   Pods forward to cluster · this node forward to cluster, masqueraded · others forward to cluster, masqueraded · steered
                      NodePort   *:30080   forward to cluster, masqueraded · steered
                      endpoint   10.244.1.5:8080   ready · this node
                      endpoint   10.244.2.6:8080   ready · node n2
                      steered    yes (annotation)
      IPv6        Pods by fd00:244::/48 · NodePorts on every local address, not on loopback
    `,
  },
  {
    what: 'a Service with a policy and a route',
    line: 'services',
    parts: POLICY,
    code: 0,
    stdout: `
      SERVICE      PORT    ADDRESSES       ENDPOINTS  STEERED
      default/web  80/TCP  10.96.0.10:80  2 (1 here)  yes (route), policy default/slow
    `,
  },
  {
    what: 'the weights of endpoints, and what the proxy knows of them',
    line: 'endpoints -o wide',
    parts: POLICY,
    code: 0,
    stdout: `
      SERVICE      PORT    FAMILY  ENDPOINT         STATE                    HERE  NODE  ZONE  WEIGHT  POOLS          CONNECTIONS  FAILURES
      default/web  80/TCP  IPv4    10.244.1.5:8080  ready                    yes   n1    -          1  cluster,local            -         -
      default/web  80/TCP  IPv4    10.244.2.6:8080  ready, ejected for 12 s  no    n2    z2         0  cluster                  3         0
    `,
  },
  {
    what: 'endpoints of a steered Service while no proxy runs',
    line: 'endpoints web',
    parts: { agent: agentOf(policyPlan()) },
    code: 0,
    stdout: `
      SERVICE      PORT    ENDPOINT         STATE  HERE  NODE  POOLS
      default/web  80/TCP  10.244.1.5:8080  ready  yes   n1    cluster,local
      default/web  80/TCP  10.244.2.6:8080  ready  no    n2    cluster
    `,
    stderr: `
      note: the proxy does not answer; what it ejected is not shown
    `,
  },
  {
    what: 'the plan of a policy and a route',
    line: 'plan',
    parts: POLICY,
    code: 0,
    stdout: `
      node        n1
      generation  1
      semantics   iptables
      steering    sk_lookup, proxy port 15001, steer auto
      IPv4        Pods by 10.244.0.0/16 · NodePorts on every local address
                    default/web/TCP
                      ClusterIP  10.96.0.10:80   Pods forward to cluster · this node forward to cluster, masqueraded · others forward to cluster, masqueraded · steered
                      endpoint   10.244.1.5:8080   ready · this node
                      endpoint   10.244.2.6:8080   ready · node n2 · weight 0
                      steered    yes (route), policy default/slow
                      policy     default/slow: LeastConnections
                      TLS        a.example → default/gone:443 ×3 (refused: there is no Service default/gone)   TLSRoute default/r
      IPv6        Pods by fd00:244::/48 · NodePorts on every local address, not on loopback
    `,
  },
  {
    what: 'differences fail',
    line: 'diff',
    parts: KERNEL,
    code: 1,
    stdout: `
      +10.96.0.11|80
      +10.96.0.10|80
      +node|30080
    `,
  },
]

for (const { what, line, parts, code, stdout, stderr } of CASES)
  test(`${what}: shunt ${line}`, async (t) => {
    t.deepEqual(await runCommand(line, parts), {
      code,
      stdout: stdout === undefined ? '' : golden(stdout),
      stderr: stderr === undefined ? '' : golden(stderr),
    })
  })
