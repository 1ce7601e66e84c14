// Which errors of the system mean that something ran out.

import type { EngineCounter } from './engine.ts'

/** `code` is the errno's name; undefined: something else failed. */
export function shortageOf(code: string): EngineCounter | undefined {
  return COUNTERS[code]
}

const COUNTERS: Readonly<Record<string, EngineCounter>> = {
  EMFILE: 'descriptor_shortages',
  ENFILE: 'descriptor_shortages',
  ENOMEM: 'memory_shortages',
  ENOBUFS: 'memory_shortages',
  EADDRNOTAVAIL: 'port_shortages',
}
