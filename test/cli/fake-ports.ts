// Ports for tests of commands: what a test does not give refuses to be used.

import type { AdminClient } from '#agent/cli/admin-client.ts'
import type { NodePorts, OfflineSource, Ports } from '#agent/cli/ports.ts'
import { loadConfiguration } from '#agent/config/load.ts'
import { ShuntError } from '#agent/model/errors.ts'

export interface FakeParts {
  /** Answers by path; undefined: nobody listens. */
  readonly agent?: Readonly<Record<string, unknown>>
  readonly proxy?: Readonly<Record<string, unknown>>
  readonly manifests?: (path: string) => Promise<OfflineSource>
  readonly node?: Partial<NodePorts>
  readonly nowMs?: number
  /** Default: empty. */
  readonly environment?: Readonly<Record<string, string>>
}

export interface FakePorts extends Ports {
  readonly written: { stdout: string; stderr: string }
}

export function fakePorts(parts: FakeParts = {}): FakePorts {
  const written = { stdout: '', stderr: '' }
  const nowMs = parts.nowMs ?? 1_000_000
  return {
    written,
    stdout: (text) => {
      written.stdout += text
    },
    stderr: (text) => {
      written.stderr += text
    },
    clock: { wallMs: () => nowMs, monotonicMs: () => nowMs, after: () => () => {} },
    configuration: async (flags) =>
      (await loadConfiguration({ command: 'cli', flags, environment: parts.environment ?? {} }))
        .configuration,
    agent: () => client('agent', parts.agent),
    proxy: () => client('proxy', parts.proxy),
    manifests: parts.manifests ?? (() => Promise.reject(new Error('no manifests in this test'))),
    node: () => Promise.resolve(refusing(parts.node ?? {})),
    processes: {
      agent: () => Promise.reject(new Error('no agent in this test')),
      proxy: () => Promise.reject(new Error('no proxy in this test')),
      run: () => Promise.reject(new Error('nothing runs in this test')),
    },
  }
}

function client(who: string, answers: Readonly<Record<string, unknown>> | undefined): AdminClient {
  return {
    get: (path) => {
      if (answers === undefined)
        return Promise.reject(new ShuntError('PEER_UNREACHABLE', `the ${who} does not answer`))
      if (!(path in answers)) return Promise.reject(new Error(`no ${path} of the ${who} in this test`))
      const answer = answers[path]
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(structuredClone(answer))
    },
    answers: () => Promise.resolve(answers !== undefined),
  }
}

/** Throws for every part that the test did not give. */
function refusing(node: Partial<NodePorts>): NodePorts {
  return new Proxy(node as NodePorts, {
    get(target, name) {
      if (name in target || name === 'then') return Reflect.get(target, name) as unknown
      throw new Error(`node.${String(name)} is not given in this test`)
    },
  })
}
