// From configuration to what the plan must know.

import type { Family } from '../model/ip.ts'
import type { LocalDetectorOption, NodePortAddressesOption, PlanOptions, SteeringPlan } from '../plan/plan.ts'
import type { Configuration } from './options.ts'

/** What is known only after probing. */
export interface Probed {
  readonly semantics: PlanOptions['semantics']
  /** Families that the datapath can program here. */
  readonly families: readonly Family[]
  readonly mechanism: SteeringPlan['mechanism']
}

export function planOptionsOf(configuration: Configuration, probed: Probed): PlanOptions {
  return {
    nodeName: configuration.nodeName,
    families: probed.families,
    semantics: probed.semantics,
    masqueradeAll: configuration.masqueradeAll,
    localDetector: localDetector(configuration),
    nodePortAddresses: nodePortAddresses(configuration),
    localhostNodePorts: configuration.localhostNodePorts && probed.semantics === 'iptables',
    allowExternalIps: true,
    steer: configuration.steer,
    steering: { mechanism: probed.mechanism, proxyPort: configuration.proxyPort },
  }
}

function localDetector(configuration: Configuration): LocalDetectorOption {
  switch (configuration.detectLocalMode) {
    case 'ClusterCIDR':
      return configuration.clusterCidr.length === 0
        ? { kind: 'none' }
        : { kind: 'clusterCidr', cidrs: configuration.clusterCidr }
    case 'NodeCIDR':
      return { kind: 'nodeCidr' }
    case 'BridgeInterface':
      return { kind: 'bridgeInterface', name: configuration.bridgeInterface }
    case 'InterfaceNamePrefix':
      return { kind: 'interfaceNamePrefix', prefix: configuration.interfaceNamePrefix }
    case 'none':
      return { kind: 'none' }
  }
}

function nodePortAddresses(configuration: Configuration): NodePortAddressesOption {
  const given = configuration.nodePortAddresses
  if (given === 'primary') return { kind: 'primary' }
  return given.length === 0 ? { kind: 'default' } : { kind: 'cidrs', cidrs: given }
}
