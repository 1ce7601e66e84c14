// What `kubectl get -o yaml` prints must load without a complaint, with every field that the API fills in.

import test from 'ava'
import { Folder } from '../../agent/cluster/folder.ts'

const METADATA = (name: string, more = ''): string => `  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"v1","kind":"Service","metadata":{"annotations":{},"name":"web"}}
    creationTimestamp: "2026-11-22T12:00:00Z"
    generateName: web-
    generation: 4
    labels:
      app: web${more}
    name: ${name}
    namespace: default
    ownerReferences:
    - apiVersion: v1
      blockOwnerDeletion: true
      controller: true
      kind: Service
      name: web
      uid: 2f9b3f4e-2f5e-4c0e-8f38-000000000001
    resourceVersion: "4711"
    uid: 2f9b3f4e-2f5e-4c0e-8f38-000000000002
`

const OUTPUT = `apiVersion: v1
items:
- apiVersion: v1
  kind: Service
${METADATA('web')}  spec:
    allocateLoadBalancerNodePorts: true
    clusterIP: 10.96.0.10
    clusterIPs:
    - 10.96.0.10
    - fd00:10:96::a
    externalIPs:
    - 203.0.113.7
    externalTrafficPolicy: Local
    healthCheckNodePort: 31999
    internalTrafficPolicy: Cluster
    ipFamilies:
    - IPv4
    - IPv6
    ipFamilyPolicy: PreferDualStack
    loadBalancerClass: example.com/lb
    loadBalancerIP: 203.0.113.9
    loadBalancerSourceRanges:
    - 198.51.100.0/24
    ports:
    - appProtocol: http
      name: http
      nodePort: 30080
      port: 80
      protocol: TCP
      targetPort: http
    publishNotReadyAddresses: true
    selector:
      app: web
    sessionAffinity: ClientIP
    sessionAffinityConfig:
      clientIP:
        timeoutSeconds: 10800
    trafficDistribution: PreferSameZone
    type: LoadBalancer
  status:
    conditions:
    - lastTransitionTime: "2026-11-22T12:00:00Z"
      message: ""
      reason: Ready
      status: "True"
      type: Ready
    loadBalancer:
      ingress:
      - hostname: lb.example
        ip: 203.0.113.9
        ipMode: VIP
        ports:
        - port: 80
          protocol: TCP
- addressType: IPv4
  apiVersion: discovery.k8s.io/v1
  endpoints:
  - addresses:
    - 10.244.1.5
    conditions:
      ready: true
      serving: true
      terminating: false
    deprecatedTopology:
      region: eu
    hints:
      forNodes:
      - name: node-a
      forZones:
      - name: a
    hostname: web-0
    nodeName: node-a
    targetRef:
      kind: Pod
      name: web-0
      namespace: default
      uid: 2f9b3f4e-2f5e-4c0e-8f38-000000000003
    zone: a
  kind: EndpointSlice
${METADATA('web-abc', '\n      kubernetes.io/service-name: web')}  ports:
  - appProtocol: http
    name: http
    port: 8080
    protocol: TCP
- apiVersion: v1
  kind: Endpoints
${METADATA('web')}  subsets:
  - addresses:
    - hostname: web-0
      ip: 10.244.1.5
      nodeName: node-a
      targetRef:
        kind: Pod
        name: web-0
        namespace: default
        uid: 2f9b3f4e-2f5e-4c0e-8f38-000000000003
    notReadyAddresses:
    - ip: 10.244.1.6
    ports:
    - appProtocol: http
      name: http
      port: 8080
      protocol: TCP
- apiVersion: v1
  kind: Node
${METADATA('node-a')}  spec:
    podCIDR: 10.244.1.0/24
    podCIDRs:
    - 10.244.1.0/24
    providerID: example://node-a
    taints:
    - effect: NoSchedule
      key: node.kubernetes.io/unschedulable
      timeAdded: "2026-11-22T12:00:00Z"
      value: "true"
    unschedulable: true
  status:
    addresses:
    - address: 192.168.49.2
      type: InternalIP
    - address: node-a
      type: Hostname
    capacity:
      cpu: "2"
    nodeInfo:
      kernelVersion: 6.1.0
- apiVersion: networking.k8s.io/v1
  kind: ServiceCIDR
${METADATA('kubernetes')}  spec:
    cidrs:
    - 10.96.0.0/12
    - fd00:10:96::/112
  status:
    conditions:
    - status: "True"
      type: Ready
kind: List
metadata:
  resourceVersion: ""
`

test('the output of kubectl get is read whole and without a problem', (t) => {
  const folder = new Folder()
  folder.read('all.yaml', { kind: 'text', text: OUTPUT })
  folder.settle()
  t.deepEqual(folder.problems(), [])
  t.deepEqual(
    [...folder.objects().keys()],
    [
      'Service default/web',
      'EndpointSlice default/web-abc',
      'Endpoints default/web',
      'Node node-a',
      'ServiceCIDR kubernetes',
    ],
  )
})
