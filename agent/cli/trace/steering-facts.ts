// Whether the proxy would take a new connection to one address now: each link of the chain, as the kernel has it.

import type { SteerState } from '../../datapath/steer/steering.ts'
import { familyOf, type Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import {
  LIVE_NODEPORT_SET,
  LIVE_SET,
  STEER_NODEPORT_SET,
  STEER_SET_V4,
  STEER_SET_V6,
} from '../../model/steering-names.ts'
import type { SteeringPlan } from '../../plan/plan.ts'
import { inSet, membersOf, type Sets } from './sets.ts'

export interface SteeringFacts {
  /** Every link holds. */
  readonly ready: boolean
  /** The first link that does not hold, or that all do; completes "the proxy takes it because …". */
  readonly because: string
  readonly links: readonly SteeringLink[]
}

export interface SteeringLink {
  readonly name: string
  /** Whose it is to make it hold: what the agent's lacks is a difference from the plan. */
  readonly owner: 'agent' | 'proxy'
  readonly holds: boolean
  readonly text: string
}

/** `nodePort`: the address is one of the node's, and the port a NodePort. */
export function steeringFacts(
  destination: { readonly ip: Ip; readonly port: Port },
  nodePort: boolean,
  mechanism: SteeringPlan['mechanism'],
  sets: Sets,
  state: SteerState,
): SteeringFacts {
  const links =
    mechanism === 'off'
      ? [{ name: 'mechanism', owner: 'agent' as const, holds: false, text: 'steering is off' }]
      : [
          setLink(destination, nodePort, sets),
          heartbeatLink(destination.ip, nodePort, sets),
          ...(mechanism === 'sk_lookup' ? skLookupLinks(destination, nodePort, state) : []),
        ]
  const broken = links.find((link) => !link.holds)
  return { ready: broken === undefined, because: broken?.text ?? 'the proxy is ready', links }
}

function setLink(
  { ip, port }: { readonly ip: Ip; readonly port: Port },
  nodePort: boolean,
  sets: Sets,
): SteeringLink {
  const name = nodePort ? STEER_NODEPORT_SET : memberSetOf(ip)
  const holds = inSet(sets, name, { ip, port })
  return {
    name: `set ${name}`,
    owner: 'agent',
    holds,
    text: holds ? 'has the address' : `the address is not in the set ${name}`,
  }
}

function heartbeatLink(ip: Ip, nodePort: boolean, sets: Sets): SteeringLink {
  const list = nodePort ? LIVE_NODEPORT_SET : LIVE_SET
  const wanted = nodePort ? STEER_NODEPORT_SET : memberSetOf(ip)
  const entry = membersOf(sets, list).find((member) => member.startsWith(`${wanted} `) || member === wanted)
  const left = entry === undefined ? undefined : /timeout (\d+)/.exec(entry)?.[1]
  return {
    name: `set ${list}`,
    owner: 'proxy',
    holds: entry !== undefined,
    text:
      entry === undefined
        ? 'the heartbeat of the proxy is over'
        : `the heartbeat of the proxy holds${left === undefined ? '' : ` (under ${Number(left) + 1} s left)`}`,
  }
}

function skLookupLinks(
  { ip, port }: { readonly ip: Ip; readonly port: Port },
  nodePort: boolean,
  { skLookup, routedFamilies }: SteerState,
): readonly SteeringLink[] {
  const family = familyOf(ip)
  const routed = routedFamilies.includes(family)
  const route: SteeringLink = {
    name: 'ip rule, table 5390',
    owner: 'agent',
    holds: routed,
    text: routed
      ? 'marked packets are delivered on the node'
      : `the ip rules of ${family} for marked packets are missing`,
  }
  if (skLookup.kind === 'absent')
    return [
      route,
      { name: 'sk_lookup', owner: 'agent', holds: false, text: `no sk_lookup program: ${skLookup.because}` },
    ]
  const keyed = skLookup.keys.some(
    (key) => key.port === port && (key.ip === ip || (nodePort && key.ip === undefined)),
  )
  const listening = skLookup.listeners.includes(family)
  return [
    route,
    {
      name: 'BPF map',
      owner: 'agent',
      holds: keyed,
      text: keyed ? 'has the address' : 'the address is not in the map of the sk_lookup program',
    },
    {
      name: 'listener',
      owner: 'proxy',
      holds: listening,
      text: listening ? 'the proxy listens' : `no proxy listens for ${family}`,
    },
  ]
}

function memberSetOf(ip: Ip): string {
  return familyOf(ip) === 'IPv4' ? STEER_SET_V4 : STEER_SET_V6
}
