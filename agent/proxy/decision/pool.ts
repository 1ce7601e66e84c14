// The endpoints that one connection may get, with their weights: never changed after it was made, so that balancers keep
// what they derive from it (sums of weights, Maglev's table) for as long as it stands.

import type { EndpointKey } from './endpoint-key.ts'
import type { ViewEndpoint } from './view.ts'

/** An endpoint with its name, made once for each pool and not for each connection. */
export interface Candidate extends ViewEndpoint {
  readonly key: EndpointKey
}

export class Pool {
  /** Each endpoint once. */
  readonly members: readonly Candidate[]
  /** Of each member, greater than 0; undefined: all weigh the same. */
  readonly weights: Float64Array | undefined
  #indexes: ReadonlyMap<EndpointKey, number> | undefined
  #sums: Float64Array | undefined

  /** `weights`: as many as members, each greater than 0. */
  constructor(members: readonly Candidate[], weights?: Float64Array) {
    this.members = members
    this.weights = weights === undefined || isConstant(weights) ? undefined : weights
  }

  weight(index: number): number {
    return this.weights?.[index] ?? 1
  }

  has(key: EndpointKey): boolean {
    return this.#index().has(key)
  }

  get(key: EndpointKey): Candidate | undefined {
    const index = this.indexOf(key)
    return index === undefined ? undefined : this.members[index]
  }

  indexOf(key: EndpointKey): number | undefined {
    return this.#index().get(key)
  }

  /** How many of these are members. */
  count(keys: ReadonlySet<EndpointKey>): number {
    let count = 0
    for (const key of keys) if (this.has(key)) count++
    return count
  }

  /** Without these; itself if it has none of them. */
  without(keys: ReadonlySet<EndpointKey>): Pool {
    if (this.count(keys) === 0) return this
    const { weights } = this
    const kept = this.members.map((_, index) => index).filter((index) => !keys.has(this.#key(index)))
    return new Pool(
      kept.flatMap((index) => this.members[index] ?? []),
      weights === undefined ? undefined : Float64Array.from(kept, (index) => weights[index] ?? 1),
    )
  }

  /** Sum of the weights up to and with each member. */
  sums(): Float64Array {
    if (this.#sums === undefined) {
      this.#sums = new Float64Array(this.members.length)
      let sum = 0
      for (let index = 0; index < this.members.length; index++) {
        sum += this.weight(index)
        this.#sums[index] = sum
      }
    }
    return this.#sums
  }

  #key(index: number): EndpointKey {
    return this.members[index]?.key ?? ('' as EndpointKey)
  }

  #index(): ReadonlyMap<EndpointKey, number> {
    this.#indexes ??= new Map(this.members.map(({ key }, index) => [key, index]))
    return this.#indexes
  }
}

function isConstant(weights: Float64Array): boolean {
  return weights.every((weight) => weight === weights[0])
}
