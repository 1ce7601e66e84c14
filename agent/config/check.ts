// What must hold between options, and what would hurt although each value is fine by itself.

import { cidrFamily } from '../model/cidr.ts'
import { FAMILIES } from '../model/ip.ts'
import type { Problem } from '../model/errors.ts'
import { STEER_MARK_MASK } from '../model/steering-names.ts'
import { parseFault } from './fault.ts'
import type { Configuration, OptionCommand, OptionKey } from './options.ts'

/** Names of devices: at most 15 bytes, no spaces or slashes. */
const INTERFACE_NAME = /^[^\s/]{1,15}$/
/** A DNS subdomain, as Kubernetes wants names of nodes. */
const NODE_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

export function checkTogether(
  configuration: Configuration,
  command: OptionCommand | 'run',
): readonly Problem[] {
  const c = configuration
  const problems: Problem[] = []
  const report = (key: OptionKey, message: string, severity: Problem['severity'] = 'error'): void => {
    problems.push({ code: 'CONFIG_INVALID', severity, message, object: '', field: key })
  }
  if (command === 'cli') return problems
  if (command !== 'agent' && c.relay === 'native' && c.addon === 'none')
    report('relay', 'native is done by the addon, and addon is none; leave one of them out')
  if (command === 'proxy') return problems

  if (c.manifests === '') report('manifests', 'a folder is needed: it is the source of all objects')
  if (!NODE_NAME.test(c.nodeName)) report('nodeName', `"${c.nodeName}" is no name of a node`)
  if (c.minSyncPeriod > c.syncPeriod) report('minSyncPeriod', 'must not be longer than syncPeriod')
  if (((1 << c.masqueradeBit) & STEER_MARK_MASK) !== 0)
    report(
      'masqueradeBit',
      `bit ${c.masqueradeBit} belongs to steering (mask 0x${STEER_MARK_MASK.toString(16)})`,
    )
  for (const family of FAMILIES)
    if (c.clusterCidr.filter((cidr) => cidrFamily(cidr) === family).length > 1)
      report('clusterCidr', `has more than one ${family} range; kube-proxy takes one of each family`)
  if (c.detectLocalMode === 'BridgeInterface' && !INTERFACE_NAME.test(c.bridgeInterface))
    report('bridgeInterface', 'detectLocalMode BridgeInterface needs the name of the bridge')
  if (c.detectLocalMode === 'InterfaceNamePrefix' && !INTERFACE_NAME.test(c.interfaceNamePrefix))
    report('interfaceNamePrefix', 'detectLocalMode InterfaceNamePrefix needs how the names begin')
  if (c.fault !== '' && parseFault(c.fault) === undefined)
    report('fault', 'expected after:STEP, before:STEP, or one of them with :N')
  if (c.detectLocalMode !== 'ClusterCIDR' && c.clusterCidr.length > 0)
    report('clusterCidr', `has no effect with detectLocalMode ${c.detectLocalMode}`, 'warning')
  return problems
}
