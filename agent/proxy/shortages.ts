// Tells the operator when an engine ran short of something. It goes on with less, so nothing else would show it.

import type { Clock } from '../model/clock.ts'
import type { Log } from '../model/log.ts'
import type { EngineCounter } from './engine/engine.ts'
import { LogGate } from './log-gate.ts'
import type { Worker } from './worker.ts'

const MEANING: Readonly<Partial<Record<EngineCounter, string>>> = {
  pipe_shortages:
    'no more pipes: some connections are copied, not spliced. Raise fs.pipe-user-pages-soft or the limit of open files',
  descriptor_shortages: 'no more descriptors: connections wait or fail. Raise the limit of open files',
  memory_shortages: 'the kernel has no memory for sockets: connections wait or fail. See net.ipv4.tcp_mem',
  port_shortages:
    'no source port is left for an endpoint: connections to it fail. Set net.ipv4.tcp_tw_reuse to 1, widen ' +
    'net.ipv4.ip_local_port_range, or add endpoints',
}

export class Shortages {
  readonly #log: Log
  readonly #gate: LogGate
  readonly #seen = new WeakMap<Worker, Readonly<Record<EngineCounter, number>>>()

  constructor(clock: Clock, log: Log) {
    this.#log = log
    this.#gate = new LogGate(clock)
  }

  look(worker: Worker): void {
    const { counters } = worker.engine.status()
    const before = this.#seen.get(worker)
    this.#seen.set(worker, counters)
    for (const [counter, meaning] of Object.entries(MEANING) as [EngineCounter, string][]) {
      const times = counters[counter] - (before?.[counter] ?? 0)
      if (times > 0)
        this.#gate.pass(counter, (suppressed) =>
          this.#log.warn({ worker: worker.number, times, suppressed }, meaning),
        )
    }
  }
}
