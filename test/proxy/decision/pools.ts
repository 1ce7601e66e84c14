// Pools, draws and what is known of endpoints, for tests of decisions.

import { ipFromBytes, type Ip } from '#agent/model/ip.ts'
import type { Random } from '#agent/model/clock.ts'
import { DEFAULT_CONNECTION_POLICY, type BalancerPolicy } from '#agent/model/connection-policy.ts'
import type { Choosing } from '#agent/proxy/decision/balance/balancer.ts'
import { endpointKey, type EndpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import { Pool, type Candidate } from '#agent/proxy/decision/pool.ts'

/** Mulberry32: the same draws for the same seed, good enough for chi-square. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

/** 10.0.0.0, 10.0.0.1, ... */
export function hostIp(number: number): Ip {
  return ipFromBytes(Uint8Array.of(10, (number >> 16) & 255, (number >> 8) & 255, number & 255))
}

export function member(number: number): Candidate {
  const endpoint = { ip: hostIp(number), port: 80, local: false }
  return { ...endpoint, key: endpointKey(endpoint) }
}

export function members(count: number): Candidate[] {
  return Array.from({ length: count }, (_, number) => member(number))
}

/** So many members, or one for each weight. */
export function poolOf(sizes: number | readonly number[]): Pool {
  return typeof sizes === 'number'
    ? new Pool(members(sizes))
    : new Pool(members(sizes.length), Float64Array.from(sizes))
}

export interface Known {
  readonly active?: (key: EndpointKey) => number
  readonly latencyMs?: (key: EndpointKey) => number
}

export function choosing(pool: Pool, given: Partial<Choosing> & { readonly known?: Known } = {}): Choosing {
  const { known = {}, ...rest } = given
  return {
    pool,
    whole: pool,
    state: { rotation: undefined, lookup: undefined },
    traffic: { active: known.active ?? (() => 0), latencyMs: known.latencyMs ?? (() => 1) },
    policy: DEFAULT_CONNECTION_POLICY.balancer satisfies BalancerPolicy,
    client: hostIp(0xffffff),
    nowMs: 0,
    draw: seeded(1),
    ...rest,
  }
}

/** How often each member came first in so many decisions. */
export function firsts(pool: Pool, times: number, choose: () => readonly Candidate[]): number[] {
  const counts = pool.members.map(() => 0)
  for (let i = 0; i < times; i++) {
    const index = pool.members.indexOf(choose()[0] as Candidate)
    counts[index] = (counts[index] ?? 0) + 1
  }
  return counts
}

/**
 * Sum of squared differences over the expected. With k classes it is above k - 1 + 4 * sqrt(2 * (k - 1)) + 6 less than
 * once in ten thousand times if the expectation holds; the seeds are fixed, so a test that passes goes on passing.
 */
export function chiSquare(counts: readonly number[], expected: readonly number[]): number {
  return counts.reduce((sum, count, i) => sum + (count - (expected[i] ?? 0)) ** 2 / (expected[i] ?? 1), 0)
}

export function isLikely(counts: readonly number[], parts: readonly number[]): boolean {
  const total = counts.reduce((a, b) => a + b, 0)
  const all = parts.reduce((a, b) => a + b, 0)
  const expected = parts.map((part) => (part / all) * total)
  return chiSquare(counts, expected) < parts.length - 1 + 4 * Math.sqrt(2 * (parts.length - 1)) + 6
}
