// Waiting for something to become true, with a deadline and a sentence for when it does not.

import { setTimeout as sleep } from 'node:timers/promises'

/** Asks every `everyMs` until the answer is true; throws after `withinMs`. The time it took. */
export async function until(
  what: string,
  ask: () => Promise<boolean> | boolean,
  options: { readonly withinMs?: number; readonly everyMs?: number; readonly explain?: () => string } = {},
): Promise<number> {
  const { withinMs = 10_000, everyMs = 50 } = options
  const startedMs = performance.now()
  for (;;) {
    if (await ask()) return performance.now() - startedMs
    if (performance.now() - startedMs > withinMs) {
      throw new Error(
        `not within ${withinMs} ms: ${what}${options.explain === undefined ? '' : `\n${options.explain()}`}`,
      )
    }
    await sleep(everyMs)
  }
}
