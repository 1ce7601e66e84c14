// One engine and its connections. A worker whose engine's thread died is replaced by another of the same number.

import type { Connection } from './connection.ts'
import type { ConnectionId, Engine } from './engine/engine.ts'

export class Worker {
  /** From 0. */
  readonly number: number
  readonly connections = new Map<ConnectionId, Connection>()
  readonly engine: Engine
  /** Connections since it started. */
  accepted = 0

  /** `make` gets the worker for the engine's events, which come only later. Throws what it throws. */
  constructor(number: number, make: (worker: Worker) => Engine) {
    this.number = number
    this.engine = make(this)
  }
}
