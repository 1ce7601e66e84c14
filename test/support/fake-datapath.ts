// A datapath whose kernel is a map of lines: it renders the steered and other frontends of a Plan, refuses what it is told to
// refuse, and can be tampered with. For tests of what is above datapaths.

import type { Changeset, CommitReport, Datapath } from '#agent/datapath/datapath.ts'
import { ShuntError } from '#agent/model/errors.ts'
import type { Plan } from '#agent/plan/plan.ts'

export type Lines = ReadonlyMap<string, string>

export interface FakeDatapath extends Datapath<Lines> {
  /** What the kernel holds. */
  readonly kernel: Map<string, string>
  /** Every commit, in order. */
  readonly commits: LineChanges[]
  /** The next commits throw this. */
  failures: Error[]
  /** Runs at the start of each commit. */
  onCommit: () => void
  unreadable: boolean
}

export interface LineChanges extends Changeset {
  readonly set: Lines
  readonly removed: readonly string[]
}

export function fakeDatapath(): FakeDatapath {
  const kernel = new Map<string, string>()
  const fake: FakeDatapath = {
    name: 'iptables',
    kernel,
    commits: [],
    failures: [],
    onCommit: () => {},
    unreadable: false,
    probe: () => Promise.resolve({ kind: 'usable', detail: 'a map', families: ['IPv4', 'IPv6'] }),
    probeSteering: () => {
      const usable = { kind: 'usable', detail: 'a map', families: ['IPv4', 'IPv6'] } as const
      return Promise.resolve({ sk_lookup: usable, dnat: usable })
    },
    render,
    change(live, want) {
      const full = live === undefined
      const set = new Map([...want].filter(([key, value]) => full || live.get(key) !== value))
      const removed = full ? [] : [...live.keys()].filter((key) => !want.has(key))
      return changes(set, removed, full)
    },
    read() {
      if (fake.unreadable) return Promise.reject(new ShuntError('RULES_UNKNOWN', 'a strange rule'))
      return Promise.resolve(new Map(kernel))
    },
    async commit(given): Promise<CommitReport> {
      fake.onCommit()
      await Promise.resolve()
      const failure = fake.failures.shift()
      if (failure !== undefined) throw failure
      const change = given as LineChanges
      fake.commits.push(change)
      if (change.full) kernel.clear()
      for (const key of change.removed) kernel.delete(key)
      for (const [key, value] of change.set) kernel.set(key, value)
      return { kernelMs: { IPv4: 1 } }
    },
    purge() {
      kernel.clear()
      return Promise.resolve()
    },
  }
  return fake
}

function changes(set: Lines, removed: readonly string[], full: boolean): LineChanges {
  return {
    set,
    removed,
    full,
    size: set.size + removed.length + (full ? 1 : 0),
    toString: () =>
      [...[...set.keys()].map((key) => `+${key}`), ...removed.map((key) => `-${key}`)].join('\n'),
  }
}

function render(plan: Plan): Lines {
  const lines = new Map<string, string>()
  for (const family of Object.values(plan.families))
    for (const port of family.ports.values())
      for (const frontend of port.frontends)
        lines.set(
          `${frontend.ip ?? 'node'}|${frontend.port}`,
          `${port.key} steered=${String(frontend.steered)} ${port.cluster.map((each) => each.ip).join(',')}`,
        )
  return lines
}
