// The rules that steer connections to the proxy; ../steer/README.md says why each of them is there. Their number does
// not depend on how many frontends are steered.

import {
  LIVE_NODEPORT_SET,
  LIVE_SET,
  SELFTEST_IPV4,
  SELFTEST_IPV6,
  STEER_MARK_MASK,
  STEER_NODEPORT_SET,
  STEERED_MARK,
  STEERED_MATCH_MASK,
  STEERED_NODE_MARK,
  UPSTREAM_MARK,
} from '../../model/steering-names.ts'
import type { Ip } from '../../model/ip.ts'
import type { FamilyContext } from './context.ts'
import {
  KUBE_PROXY_FIREWALL,
  KUBE_SERVICES,
  SHUNT_INPUT,
  SHUNT_STEER,
  SHUNT_STEER_NEW,
  SHUNT_STEER_OUT,
  SHUNT_STEER_OUT_NEW,
  SHUNT_STEER_OUT_TAKE,
  SHUNT_STEER_TAKE,
  type TableName,
} from './names.ts'
import {
  ctState,
  DESTINATION_IS_LOCAL,
  dnatTo,
  hex,
  lines,
  mark,
  notMark,
  rule,
  setMark,
  to,
} from './rule.ts'
import { familyNodePortSet, unsteeredSet } from './steer-sets.ts'

/** `table chain` to its lines; none with the mechanism off. */
export function steerRules(context: FamilyContext): Map<`${TableName} ${string}`, string> {
  const chains = new Map<`${TableName} ${string}`, string>()
  if (context.mechanism === 'off') return chains
  for (const path of [FORWARDED, NODES_OWN]) {
    chains.set(`mangle ${path.chain}`, steer(path))
    chains.set(`mangle ${path.newChain}`, steerNew(path, context))
    chains.set(`mangle ${path.takeChain}`, take(path))
  }
  chains.set(`filter ${SHUNT_INPUT}`, input(context))
  return chains
}

/** How nat treats the mark: the first rule of KUBE-SERVICES. */
export function steeredInNat(context: FamilyContext): string | undefined {
  if (context.mechanism === 'sk_lookup')
    return lines(
      rule(KUBE_SERVICES, {
        comment: 'steered connections keep their destination',
        matches: [isSteered],
        target: '-j RETURN',
      }),
    )
  if (context.mechanism === 'off' || context.proxyIp === undefined) return undefined
  return lines(
    rule(KUBE_SERVICES, {
      protocol: 'TCP',
      comment: 'steered connections go to the proxy',
      // DNAT to a port asks for the protocol's match, or at least for the protocol.
      matches: ['-m tcp', isSteered],
      target: dnatTo(context.proxyIp, context.proxyPort),
    }),
  )
}

interface Path {
  readonly chain: string
  readonly newChain: string
  readonly takeChain: string
  readonly packetMark: number
  /** The socket match exists on the way in only. */
  readonly looksForListener: boolean
}

const FORWARDED: Path = {
  chain: SHUNT_STEER,
  newChain: SHUNT_STEER_NEW,
  takeChain: SHUNT_STEER_TAKE,
  packetMark: STEERED_MARK,
  looksForListener: true,
}

const NODES_OWN: Path = {
  chain: SHUNT_STEER_OUT,
  newChain: SHUNT_STEER_OUT_NEW,
  takeChain: SHUNT_STEER_OUT_TAKE,
  packetMark: STEERED_NODE_MARK,
  looksForListener: false,
}

const isSteered = mark(STEERED_MARK, STEERED_MATCH_MASK)
const HAS_LISTENER = '-m socket --transparent --nowildcard'
const SYN = '-m tcp --tcp-flags FIN,SYN,RST,ACK SYN'

/** Later packets of a steered connection go by its own mark, first packets by the sets. */
function steer({ chain, newChain, packetMark }: Path): string {
  const steeredConnection = `-m connmark --mark ${hex(STEERED_MARK)}/${hex(STEER_MARK_MASK)}`
  return lines(
    rule(chain, {
      matches: [steeredConnection, '-m conntrack --ctdir ORIGINAL'],
      target: setMark('MARK', packetMark, STEER_MARK_MASK),
    }),
    rule(chain, { matches: [isSteered], target: '-j RETURN' }),
    // CONFIRMED is out: a repeated SYN of a connection that nat has already sent to an endpoint stays there.
    rule(chain, {
      protocol: 'TCP',
      matches: [
        SYN,
        notMark(UPSTREAM_MARK, STEER_MARK_MASK),
        '-m conntrack --ctstate NEW ! --ctstatus CONFIRMED',
      ],
      target: `-j ${newChain}`,
    }),
  )
}

function steerNew({ newChain, takeChain, looksForListener }: Path, context: FamilyContext): string {
  const listener = looksForListener && context.mechanism === 'sk_lookup' ? HAS_LISTENER : undefined
  return lines(
    rule(newChain, {
      matches: [`-m set --match-set ${LIVE_SET} dst,dst`, listener],
      target: `-j ${takeChain}`,
    }),
    // An address of another Service on this node beats the NodePort of the same number (row 15).
    rule(newChain, {
      matches: [`-m set --match-set ${unsteeredSet(context.family)} dst,dst`],
      target: '-j RETURN',
    }),
    ...context.nodePortDestinations.map((destination) =>
      rule(newChain, {
        destination,
        matches: [
          DESTINATION_IS_LOCAL,
          `-m set --match-set ${familyNodePortSet(context.family)} dst`,
          `-m set --match-set ${LIVE_NODEPORT_SET} dst`,
          listener,
        ],
        target: `-j ${takeChain}`,
      }),
    ),
  )
}

function take({ takeChain, packetMark }: Path): string {
  return lines(
    rule(takeChain, { target: setMark('CONNMARK', STEERED_MARK, STEER_MARK_MASK) }),
    rule(takeChain, { target: setMark('MARK', packetMark, STEER_MARK_MASK) }),
  )
}

/**
 * Whatever stands before it in INPUT, source ranges are looked at first. A first packet whose proxy has gone is refused
 * at once. Nobody reaches the proxy's port but by steering.
 */
function input(context: FamilyContext): string {
  const refuse = '-j REJECT --reject-with tcp-reset'
  const firstPackets = [
    // Not for first packets alone: the kernel sends no reset for an address that is not its own, so a client whose proxy
    // died would wait for an answer for ever.
    rule(SHUNT_INPUT, { protocol: 'TCP', matches: [isSteered, HAS_LISTENER], target: '-j ACCEPT' }),
    rule(SHUNT_INPUT, { protocol: 'TCP', matches: [isSteered], target: refuse }),
    // The program of sk_lookup sees no mark: it would hand over what came to a NodePort's number on an address where
    // it does not answer, such as loopback, or of a family in which it is not steered. Addresses of other Services have
    // refusals of their own, silent ones among them.
    rule(SHUNT_INPUT, {
      protocol: 'TCP',
      comment: 'no NodePort on this address',
      matches: [
        SYN,
        notMark(STEERED_MARK, STEERED_MATCH_MASK),
        `-m set --match-set ${STEER_NODEPORT_SET} dst`,
        `-m set ! --match-set ${unsteeredSet(context.family)} dst,dst`,
        HAS_LISTENER,
      ],
      target: refuse,
    }),
  ]
  const selfTestIp = (context.family === 'IPv4' ? SELFTEST_IPV4 : SELFTEST_IPV6) as Ip
  return lines(
    // IPv4 delivers whatever leaves over lo, so without this the self-test would pass although nothing was marked.
    rule(SHUNT_INPUT, {
      protocol: 'TCP',
      destination: to(selfTestIp),
      comment: 'the self-test arrives by steering alone',
      matches: [notMark(STEERED_MARK, STEERED_MATCH_MASK)],
      target: '-j DROP',
    }),
    rule(SHUNT_INPUT, {
      comment: 'source ranges of steered connections',
      matches: [isSteered, ctState('NEW')],
      target: `-j ${KUBE_PROXY_FIREWALL}`,
    }),
    ...(context.mechanism === 'sk_lookup' ? firstPackets : []),
    rule(SHUNT_INPUT, { comment: 'steered connections', matches: [isSteered], target: '-j ACCEPT' }),
    rule(SHUNT_INPUT, {
      protocol: 'TCP',
      comment: 'direct connections to the proxy',
      port: context.proxyPort,
      target: refuse,
    }),
  )
}
