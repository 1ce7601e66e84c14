// One Snapshot with every kind of rule that the iptables datapath writes, and the Service of the minikube tutorial.

import type { Plan, PlanOptions } from '#agent/plan/plan.ts'
import { aService, aSlice, planOf, type SnapshotParts } from './build.ts'

/** `default/hello-minikube` with one or two endpoints. */
export function demoParts(endpoints = 1, steer: 'auto' | 'always' = 'auto'): SnapshotParts {
  return {
    services: [
      aService({
        name: 'hello-minikube',
        type: 'NodePort',
        clusterIps: ['10.97.95.146'],
        ports: [{ port: 8080, nodePort: 31286 }],
        steer,
      }),
    ],
    slices: [
      aSlice({ service: 'hello-minikube', endpoints: ['172.17.0.5', '172.17.0.7'].slice(0, endpoints) }),
    ],
  }
}

export function demoPlan(endpoints = 1, options: Partial<PlanOptions> = {}): Plan {
  return planOf(demoParts(endpoints), options)
}

const REMOTE = { nodeName: 'n2' }

/** Affinity, policies, terminating, source ranges, health port, all protocols, both families, steering, reject, drop. */
export const RICH: SnapshotParts = {
  services: [
    aService({
      name: 'web',
      type: 'LoadBalancer',
      clusterIps: ['10.96.0.10', 'fd00:96::10'],
      ports: [
        { name: 'http', port: 80, nodePort: 30080 },
        { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053 },
        { name: 'sig', protocol: 'SCTP', port: 5060 },
      ],
      externalIps: ['203.0.113.1', 'fd00:203::1'],
      loadBalancer: ['198.51.100.1', 'fd00:198::1'],
      sourceRanges: ['192.168.0.0/24', '203.0.113.128/25', 'fd00:168::/64'],
      affinity: { kind: 'ClientIP', timeoutSeconds: 10800 },
    }),
    aService({
      name: 'local',
      type: 'LoadBalancer',
      clusterIps: ['10.96.0.11', 'fd00:96::11'],
      ports: [{ port: 80, nodePort: 30081 }],
      loadBalancer: ['198.51.100.2', 'fd00:198::2'],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Local',
      healthCheckNodePort: 32000,
    }),
    aService({
      name: 'away',
      type: 'LoadBalancer',
      clusterIps: ['10.96.0.12'],
      ports: [{ port: 80, nodePort: 30082 }],
      loadBalancer: ['198.51.100.3'],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Local',
    }),
    aService({
      name: 'empty',
      type: 'LoadBalancer',
      clusterIps: ['10.96.0.13', 'fd00:96::13'],
      ports: [{ port: 80, nodePort: 30083 }],
      loadBalancer: ['198.51.100.4', 'fd00:198::4'],
    }),
    aService({
      name: 'steered',
      type: 'LoadBalancer',
      clusterIps: ['10.96.0.14', 'fd00:96::14'],
      ports: [{ port: 80, nodePort: 30084 }],
      loadBalancer: ['198.51.100.5', 'fd00:198::5'],
      sourceRanges: ['192.168.0.0/24', 'fd00:168::/64'],
      steer: 'always',
    }),
    aService({
      name: 'closed',
      type: 'LoadBalancer',
      clusterIps: ['10.96.0.15', 'fd00:96::15'],
      // Its number is a steered NodePort's: the address must win.
      ports: [{ port: 80, nodePort: 30085 }],
      loadBalancer: ['198.51.100.6'],
      sourceRanges: ['192.168.0.0/24'],
      steer: 'always',
      whenProxyDown: 'reject',
    }),
    aService({
      name: 'clash',
      type: 'LoadBalancer',
      clusterIps: ['10.96.0.16', 'fd00:96::16'],
      ports: [{ port: 30084, nodePort: 30086 }],
      loadBalancer: ['198.51.100.7', 'fd00:198::7'],
    }),
  ],
  slices: [
    aSlice({
      service: 'web',
      ports: [
        { name: 'http', port: 8080 },
        { name: 'dns', protocol: 'UDP', port: 5353 },
        { name: 'sig', protocol: 'SCTP', port: 5060 },
      ],
      endpoints: ['10.244.1.5', '10.244.1.6', { ip: '10.244.2.5', ...REMOTE }],
    }),
    aSlice({
      id: 'web-6',
      service: 'web',
      ports: [{ name: 'http', port: 8080 }],
      endpoints: ['fd00:244:1::5', { ip: 'fd00:244:2::5', ...REMOTE }],
    }),
    ...['local', 'steered', 'closed', 'clash'].flatMap((service) => [
      aSlice({ service, endpoints: ['10.244.1.5', { ip: '10.244.2.5', ...REMOTE }] }),
      aSlice({
        id: `${service}-6`,
        service,
        endpoints: ['fd00:244:1::5', { ip: 'fd00:244:2::5', ...REMOTE }],
      }),
    ]),
    aSlice({ service: 'away', endpoints: [{ ip: '10.244.2.5', ...REMOTE }] }),
  ],
}

export function richPlan(options: Partial<PlanOptions> = {}, parts: SnapshotParts = {}): Plan {
  return planOf({ ...RICH, ...parts }, options)
}
