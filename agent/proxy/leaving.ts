// When a proxy that leaves is gone at last: how long it waits for its connections, and who may shorten that.

import type { Clock } from '../model/clock.ts'

export class Leaving {
  readonly #clock: Clock
  readonly #asked = Promise.withResolvers<void>()
  readonly #hurry = Promise.withResolvers<void>()
  #status: { readonly sinceMs: number; readonly untilMs: number | null } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Milliseconds since 1970; `untilMs` null: as long as it takes. undefined: it stays. */
  get status(): { readonly sinceMs: number; readonly untilMs: number | null } | undefined {
    return this.#status
  }

  /** Resolves when one that handed over is asked to stop. */
  get asked(): Promise<void> {
    return this.#asked.promise
  }

  /** Again: the time is counted anew. undefined: as long as it takes. */
  begin(drainMs: number | undefined): void {
    const nowMs = this.#clock.wallMs()
    const untilMs = drainMs === undefined ? null : nowMs + drainMs
    this.#status = { sinceMs: this.#status?.sinceMs ?? nowMs, untilMs }
  }

  ask(): void {
    this.#asked.resolve()
  }

  /** Nothing is waited for any longer. */
  hurry(): void {
    this.#hurry.resolve()
  }

  /** Until the time is over (undefined: never), or the other thing happens, or somebody is in a hurry. */
  async wait(ms: number | undefined, ...others: readonly Promise<void>[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = ms === undefined ? (): void => {} : this.#clock.after(ms, resolve)
    await Promise.race([promise, this.#hurry.promise, ...others])
    cancel()
  }
}
