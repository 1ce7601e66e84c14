// Transport ports and protocols, in Kubernetes' spelling.

export type Protocol = 'TCP' | 'UDP' | 'SCTP'

export const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP']

/** 1 to 65535. */
export type Port = number

export function isPort(value: unknown): value is Port {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535
}

/** The protocol as kernel tools and kube-proxy's hashes spell it. */
export function lowerProtocol(protocol: Protocol): 'tcp' | 'udp' | 'sctp' {
  return protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp'
}
