// Time as a capability, so that tests step it by hand. The real one is kernel/clock.ts.

export interface Clock {
  /** Milliseconds since 1970; may jump. For what people read. */
  wallMs(): number
  /** Milliseconds from an arbitrary start, never backwards. For durations and deadlines. */
  monotonicMs(): number
  /** Calls once after the delay; the returned function cancels and may be called at any time. */
  after(delayMs: number, call: () => void): () => void
}

/** A uniform draw from [0, 1). */
export type Random = () => number
