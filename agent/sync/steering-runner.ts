// Runs the steering choice: feeds it the proxies that come and go and the results of real connections through the
// steering path, and tells when the mechanism has changed. Connections are tested only when a proxy has a view of this
// agent and the rules for the mechanism are in the kernel; anything else would test the wrong thing.

import type { Clock } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { Family } from '../model/ip.ts'
import type { Log } from '../model/log.ts'
import type { Metrics } from '../model/metrics.ts'
import {
  startSteering,
  stepSteering,
  type Candidate,
  type Mechanism,
  type SteeringEvent,
  type SteeringState,
} from './steering-choice.ts'

export interface SteeringRunnerParts {
  readonly option: 'auto' | Mechanism
  /** Asked again every minute. Never rejects for what is only unusable. */
  readonly probe: () => Promise<readonly Candidate[]>
  /** A connection that only steering can deliver; the reason if it failed. */
  readonly test: (family: Family) => Promise<TestResult>
  /** Families in which the committed rules can steer at all. */
  readonly families: () => readonly Family[]
  /** The proxy that is connected and has acknowledged a view of this agent. */
  readonly proxy: () => SteeringState['proxy']
  /** The mechanism of the rules that were committed last. */
  readonly committed: () => Mechanism | undefined
  readonly onChange: () => void
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

export type TestResult =
  | { readonly kind: 'ok'; readonly latencyMs: number }
  | { readonly kind: 'failed'; readonly because: string }

/** Plain JSON. */
export interface SteeringStatus {
  readonly mechanism: Mechanism
  readonly because: string
  /** Real connections reach the proxy now. */
  readonly active: boolean
  readonly lastTest: {
    readonly mechanism: Mechanism
    readonly atMs: number
    readonly results: Readonly<Partial<Record<Family, TestResult>>>
  } | null
  readonly putAside: readonly {
    readonly mechanism: Mechanism
    readonly because: string
    readonly forMs: number
  }[]
}

export interface SteeringRunner {
  readonly mechanism: () => Mechanism
  status(): SteeringStatus
  /** The proxies have changed. */
  proxiesChanged(): void
  stop(): void
}

const TEST_INTERVAL_MS = 5_000
const TEST_INTERVAL_AFTER_FAILURE_MS = 1_000
/** A proxy begins its heartbeat, and the sets fill, only after its first view. */
const SETTLE_MS = 1_000
const PROBE_INTERVAL_MS = 60_000

export async function createSteeringRunner(parts: SteeringRunnerParts): Promise<SteeringRunner> {
  const { clock, log, metrics } = parts
  let state = startSteering(parts.option, await parts.probe(), clock.monotonicMs())
  let lastTest: SteeringStatus['lastTest'] = null
  let active = false
  let stopped = false
  let testing = false
  let settledAtMs = Infinity
  let probedAtMs = clock.monotonicMs()
  let cancel = (): void => {}
  log.info({ mechanism: state.mechanism, because: state.because }, 'the steering mechanism is chosen')

  function feed(event: SteeringEvent): void {
    const before = state
    state = stepSteering(before, event, clock.monotonicMs())
    if (state.mechanism === before.mechanism) return
    log.warn(
      { from: before.mechanism, to: state.mechanism, because: state.because },
      'the steering mechanism changes',
    )
    setActive(false, before.mechanism)
    settledAtMs = clock.monotonicMs() + SETTLE_MS
    parts.onChange()
  }

  function setActive(to: boolean, mechanism: Mechanism): void {
    active = to
    if (mechanism !== 'off') metrics.set('shunt_steering_active', to ? 1 : 0, { mechanism })
  }

  async function round(): Promise<void> {
    if (clock.monotonicMs() - probedAtMs >= PROBE_INTERVAL_MS) {
      probedAtMs = clock.monotonicMs()
      feed({ kind: 'probed', candidates: await parts.probe() })
    }
    feed({ kind: 'tick' })
    const { mechanism } = state
    const families = parts.families()
    const testable =
      mechanism !== 'off' &&
      state.proxy !== undefined &&
      families.length > 0 &&
      parts.committed() === mechanism
    if (!testable) {
      setActive(false, mechanism)
      settledAtMs = Math.max(settledAtMs === Infinity ? 0 : settledAtMs, clock.monotonicMs() + SETTLE_MS)
      return
    }
    if (clock.monotonicMs() < settledAtMs) return
    const results: Partial<Record<Family, TestResult>> = {}
    for (const family of families) results[family] = await parts.test(family)
    const failure = failureOf(results)
    metrics.add('shunt_steering_selftest_total', {
      mechanism,
      result: failure === undefined ? 'ok' : 'failed',
    })
    lastTest = { mechanism, atMs: clock.wallMs(), results }
    setActive(failure === undefined, mechanism)
    if (failure !== undefined) log.warn({ mechanism, failure }, 'a self-test connection was not steered')
    feed({ kind: 'tested', mechanism, failure })
  }

  async function loop(): Promise<void> {
    if (testing || stopped) return
    testing = true
    try {
      await round()
    } catch (error) {
      log.error({ error }, 'a round of the steering self-test failed')
    }
    testing = false
    if (stopped) return
    const calm = active || state.mechanism === 'off' || state.proxy === undefined
    cancel = clock.after(calm ? TEST_INTERVAL_MS : TEST_INTERVAL_AFTER_FAILURE_MS, () => void loop())
  }

  void loop()
  return {
    mechanism: () => state.mechanism,
    status: () => ({
      mechanism: state.mechanism,
      because: state.because,
      active,
      lastTest,
      putAside: Object.entries(state.aside).map(([mechanism, aside]) => ({
        mechanism: mechanism as Mechanism,
        because: aside.because,
        forMs: Math.max(0, aside.untilMs - clock.monotonicMs()),
      })),
    }),
    proxiesChanged() {
      const proxy = parts.proxy()
      if (stopped || proxy?.skLookup === state.proxy?.skLookup) return
      if (proxy !== undefined) settledAtMs = clock.monotonicMs() + SETTLE_MS
      else setActive(false, state.mechanism)
      feed({ kind: 'proxy', proxy })
      if (testing) return
      cancel()
      cancel = clock.after(proxy === undefined ? TEST_INTERVAL_MS : SETTLE_MS, () => void loop())
    },
    stop() {
      stopped = true
      cancel()
    },
  }
}

function failureOf(results: Readonly<Partial<Record<Family, TestResult>>>): string | undefined {
  const failures = Object.entries(results).flatMap(([family, result]) =>
    result.kind === 'failed' ? [`${family}: ${result.because}`] : [],
  )
  return failures.length === 0 ? undefined : failures.join('; ')
}

/** A probe that throws makes nothing usable, and says so. */
export function candidatesOf(error: unknown): readonly Candidate[] {
  const unusableBecause = messageOf(error)
  return [
    { mechanism: 'sk_lookup', unusableBecause },
    { mechanism: 'dnat', unusableBecause },
  ]
}
