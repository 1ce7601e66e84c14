// The fields that the API has, level by level, so that a misspelled one is noticed and real `kubectl get -o yaml` output
// is not complained about. metadata and status are taken as they come: controllers write them, people do not.

export const SERVICE_SPEC: ReadonlySet<string> = new Set([
  'allocateLoadBalancerNodePorts',
  'clusterIP',
  'clusterIPs',
  'externalIPs',
  'externalName',
  'externalTrafficPolicy',
  'healthCheckNodePort',
  'internalTrafficPolicy',
  'ipFamilies',
  'ipFamilyPolicy',
  // Gone from the API since 1.20 and 1.22, still found in old files.
  'ipFamily',
  'topologyKeys',
  'loadBalancerClass',
  'loadBalancerIP',
  'loadBalancerSourceRanges',
  'ports',
  'publishNotReadyAddresses',
  'selector',
  'sessionAffinity',
  'sessionAffinityConfig',
  'trafficDistribution',
  'type',
])

export const SERVICE_PORT: ReadonlySet<string> = new Set([
  'appProtocol',
  'name',
  'nodePort',
  'port',
  'protocol',
  'targetPort',
])

export const AFFINITY_CONFIG: ReadonlySet<string> = new Set(['clientIP'])
export const CLIENT_IP_CONFIG: ReadonlySet<string> = new Set(['timeoutSeconds'])

export const SLICE_PORT: ReadonlySet<string> = new Set(['appProtocol', 'name', 'port', 'protocol'])

export const SLICE_ENDPOINT: ReadonlySet<string> = new Set([
  'addresses',
  'conditions',
  'deprecatedTopology',
  'hints',
  'hostname',
  'nodeName',
  'targetRef',
  'zone',
])

export const SLICE_CONDITIONS: ReadonlySet<string> = new Set(['ready', 'serving', 'terminating'])
export const SLICE_HINTS: ReadonlySet<string> = new Set(['forNodes', 'forZones'])

export const SUBSET: ReadonlySet<string> = new Set(['addresses', 'notReadyAddresses', 'ports'])
export const SUBSET_ADDRESS: ReadonlySet<string> = new Set(['hostname', 'ip', 'nodeName', 'targetRef'])

export const NODE_SPEC: ReadonlySet<string> = new Set([
  'configSource',
  'externalID',
  'podCIDR',
  'podCIDRs',
  'providerID',
  'taints',
  'unschedulable',
])

export const TAINT: ReadonlySet<string> = new Set(['effect', 'key', 'timeAdded', 'value'])

export const SERVICE_CIDR_SPEC: ReadonlySet<string> = new Set(['cidrs'])

/** Of the four route kinds together. */
export const ROUTE_SPEC: ReadonlySet<string> = new Set([
  'hostnames',
  'parentRefs',
  'rules',
  'useDefaultGateways',
])

export const PARENT_REF: ReadonlySet<string> = new Set([
  'group',
  'kind',
  'name',
  'namespace',
  'port',
  'sectionName',
])

/** Of a TLSRoute. */
export const TLS_RULE: ReadonlySet<string> = new Set(['backendRefs', 'name'])

export const BACKEND_REF: ReadonlySet<string> = new Set([
  'group',
  'kind',
  'name',
  'namespace',
  'port',
  'weight',
])

export const REFERENCE_GRANT_SPEC: ReadonlySet<string> = new Set(['from', 'to'])
export const GRANT_FROM: ReadonlySet<string> = new Set(['group', 'kind', 'namespace'])
export const GRANT_TO: ReadonlySet<string> = new Set(['group', 'kind', 'name'])

/** Annotations of ours on a Service. */
export const STEER_ANNOTATION = 'shunt.dev/steer'
export const WHEN_PROXY_DOWN_ANNOTATION = 'shunt.dev/when-proxy-down'
export const OWN_ANNOTATIONS: ReadonlySet<string> = new Set([STEER_ANNOTATION, WHEN_PROXY_DOWN_ANNOTATION])
