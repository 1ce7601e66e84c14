// The agent's admin socket: what `shunt status`, `plan`, `trace` and the others ask. HTTP and JSON over agent.sock.

import { ShuntError, type Problem } from '../model/errors.ts'
import { json, text, type Routes } from './http-json.ts'

/** Each answers plain JSON data; undefined: not known yet, which becomes NOT_READY. */
export interface AdminSources {
  readonly status: () => unknown
  readonly plan: () => unknown
  readonly snapshot: () => unknown
  readonly configuration: () => unknown
  readonly problems: () => readonly Problem[]
  readonly drift: () => unknown
  /** The rules as the kernel tools would get them for a full rebuild. */
  readonly rules: () => string | undefined
  readonly metrics: () => string
  /** Rebuilds everything; answers when it is done. */
  readonly resync: () => Promise<unknown>
}

export function adminRoutes(sources: AdminSources): Routes {
  return {
    'GET /status': () => json(sources.status()),
    'GET /plan': () => json(known(sources.plan(), 'plan')),
    'GET /snapshot': () => json(known(sources.snapshot(), 'snapshot')),
    'GET /config': () => json(sources.configuration()),
    'GET /problems': () => json(sources.problems()),
    'GET /drift': () => json(sources.drift()),
    'GET /rules': () => text(known(sources.rules(), 'plan')),
    'GET /metrics': () => text(sources.metrics()),
    'POST /resync': async () => json(await sources.resync()),
  }
}

function known<T>(value: T | undefined, what: string): T {
  if (value === undefined)
    throw new ShuntError('NOT_READY', `the agent has no ${what} yet`, {
      hint: 'it waits for its source, or its first sync failed: see `shunt status`',
    })
  return value
}
