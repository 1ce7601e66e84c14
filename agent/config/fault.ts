// The option `fault`: `after:STEP`, `before:STEP`, each with an optional `:N` for the Nth time, and `@proxy` to end the
// proxies that are connected instead of the agent itself. Tests use it to end a process at an exact place.

export interface Fault {
  readonly when: 'after' | 'before'
  readonly step: string
  readonly times: number
  readonly victim: 'agent' | 'proxy'
}

/** undefined: no fault is wanted, or the text is none. */
export function parseFault(text: string): Fault | undefined {
  const found = /^(after|before):([A-Za-z0-9-]+)(?::([1-9]\d{0,5}))?(@proxy)?$/.exec(text)
  if (found?.[2] === undefined) return undefined
  return {
    when: found[1] === 'before' ? 'before' : 'after',
    step: found[2],
    times: Number(found[3] ?? 1),
    victim: found[4] === undefined ? 'agent' : 'proxy',
  }
}

/** A hook that calls `strike` when the step comes by for the Nth time. */
export function faultHook(
  fault: Fault | undefined,
  when: Fault['when'],
  strike: () => void,
): (step: string) => void {
  let left = fault?.times ?? 0
  return (step) => {
    if (fault === undefined || fault.when !== when || fault.step !== step) return
    left -= 1
    if (left === 0) strike()
  }
}

/** The same where only the beginnings of steps are told: a step is over when the next begins. */
export function faultHookOfBeginnings(fault: Fault | undefined, strike: () => void): (step: string) => void {
  const before = faultHook(fault, 'before', strike)
  const after = faultHook(fault, 'after', strike)
  let last: string | undefined
  return (step) => {
    if (last !== undefined) after(last)
    last = step
    before(step)
  }
}
