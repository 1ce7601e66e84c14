// The proxy's half of the dead man's switch. It beats from the event loop that also accepts and relays, never from a
// thread of its own, so that a loop that is stuck misses its beats and falls out of the path by itself.

import type { Beat, Heartbeat } from '../kernel/heartbeat.ts'
import type { Clock } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { Log } from '../model/log.ts'
import type { Metrics } from '../model/metrics.ts'
import { LogGate } from './log-gate.ts'

export interface HeartbeatLoopParts {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** undefined: it can serve; otherwise why not. */
  readonly hindrance: () => string | undefined
  readonly intervalMs: number
}

export class HeartbeatLoop {
  readonly #heartbeat: Heartbeat
  readonly #parts: HeartbeatLoopParts
  readonly #gate: LogGate
  #cancelTimer: (() => void) | undefined
  #stopped = false
  #because = 'not started'
  #beats = 0
  #failures = 0
  #lastBeatAtMs: number | null = null

  constructor(heartbeat: Heartbeat, parts: HeartbeatLoopParts) {
    this.#heartbeat = heartbeat
    this.#parts = parts
    this.#gate = new LogGate(parts.clock)
  }

  /** `because` says why it does not beat; '' when it does. */
  get status(): {
    readonly beating: boolean
    readonly because: string
    readonly beats: number
    readonly failures: number
    readonly lastBeatAtMs: number | null
  } {
    return {
      beating: this.#because === '',
      because: this.#because,
      beats: this.#beats,
      failures: this.#failures,
      lastBeatAtMs: this.#lastBeatAtMs,
    }
  }

  start(): void {
    if (this.#stopped) return
    this.#cancelTimer = this.#parts.clock.after(this.#parts.intervalMs, () => this.start())
    this.#beat()
  }

  /** For good, leaving what the kernel knows as it is: another process beats from now on. */
  cede(): void {
    this.#stopped = true
    this.#because = 'stopped'
    this.#cancelTimer?.()
  }

  /** For good. The kernel stops steering at once, or within the timeout if it refuses even that. */
  stop(): void {
    if (this.#stopped) return
    this.cede()
    try {
      this.#heartbeat.withdraw()
    } catch (error) {
      this.#parts.log.info(
        { because: messageOf(error) },
        'steering ends with the timeout of the last heartbeat',
      )
    }
  }

  #beat(): void {
    const hindrance = this.#parts.hindrance()
    if (hindrance !== undefined) {
      this.#because = hindrance
      return
    }
    const beat = this.#tryBeat()
    switch (beat.kind) {
      case 'refreshed':
        if (this.#because !== '') this.#parts.log.info({ after: this.#because }, 'the heartbeat beats')
        this.#because = ''
        this.#beats++
        this.#lastBeatAtMs = this.#parts.clock.wallMs()
        break
      case 'no-sets':
        this.#because = 'the agent has not made the steering sets'
        break
      case 'failed':
        this.#because = `the kernel refused: ${beat.code}`
        this.#failures++
        this.#parts.metrics.add('shunt_proxy_heartbeat_failures_total')
        this.#gate.pass('beat', (suppressed) =>
          this.#parts.log.warn({ because: beat.code, suppressed }, 'the kernel refused the heartbeat'),
        )
        break
    }
  }

  /** No exception may end the loop: the next beat may succeed. */
  #tryBeat(): Beat {
    try {
      return this.#heartbeat.beat()
    } catch (error) {
      return { kind: 'failed', errno: 0, code: messageOf(error) }
    }
  }
}
