// The steps of a decision as short texts, for its record. Made when somebody asks, not for each connection.

import type { ConnectDecision, Decision } from './decision.ts'

export function whyOf(decision: Decision): readonly string[] {
  switch (decision.kind) {
    case 'selftest':
      return ['self-test']
    case 'refuse':
      return decision.why
    case 'peek':
      return [`the first bytes are looked at for ${decision.service}`]
    case 'connect':
      return whyConnect(decision)
  }
}

function whyConnect(decision: ConnectDecision): readonly string[] {
  const { frontendKind, frontend, clientKind, client, skipBytes, tlsRoute, serverName, service } = decision
  return [
    `frontend ${frontendKind} ${frontend}`,
    `client ${clientKind}`,
    ...(skipBytes === 0 ? [] : [`PROXY header for ${client.ip}`]),
    ...(tlsRoute === undefined
      ? []
      : [`TLSRoute ${tlsRoute} for ${serverName ?? 'no server name'} to ${service}`]),
    `pool ${decision.pool} of ${decision.poolSize}`,
    ...(decision.ejected === 0 ? [] : [ejections(decision)]),
    decision.sticky === 'kept' ? 'affinity' : decision.policy.balancer.kind,
  ]
}

function ejections({ ejected, panic }: ConnectDecision): string {
  return panic ? `${ejected} ejected, which is too many: used all the same` : `${ejected} ejected`
}
