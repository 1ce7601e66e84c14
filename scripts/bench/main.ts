// `npm run bench`: measures, compares with the bars, and writes docs/benchmarks.md. Root; network namespaces of its own.
// Takes half an hour; one part alone: `npm run bench -- relay` (plan, sync, memory, steering, decide), which prints its section and
// its bars and writes nothing. Fewer rounds of the relay, for a first look: `npm run bench -- relay --rounds 1`.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { decideSection } from './decide.ts'
import { formatSpread, machineFacts } from './machine.ts'
import { measureMemory, type MemoryFigures } from './memory.ts'
import { measurePlan, type PlanFigures } from './plan.ts'
import { relaySection } from './relay/section.ts'
import { table, type Bar, type Section } from './section.ts'
import { measureSteering, type SteeringFigures } from './steering.ts'
import { measureSync, type SyncFigures } from './sync.ts'

const SIZES = [1000, 10_000]
const LARGE = 10_000
const parts = { plan, sync, memory, steering, decide: decideSection, relay: relaySection }

async function main(names: readonly string[], rounds: number | undefined): Promise<number> {
  const wanted = names.length === 0 ? Object.keys(parts) : names
  const sections: string[] = []
  const bars: Bar[] = []
  for (const name of wanted) {
    if (!isPart(name)) {
      console.error(`error: no part ${name} (USAGE)\nhint: parts: ${Object.keys(parts).join(', ')}`)
      return 2
    }
    const { text, bars: more } = await parts[name](rounds)
    console.log(text)
    sections.push(text)
    bars.push(...more)
  }
  const verdicts = barTable(bars)
  console.log(verdicts)
  if (names.length === 0)
    writeFileSync(join(import.meta.dirname, '../../docs/benchmarks.md'), page(sections, verdicts))
  return bars.every((bar) => bar.measured <= bar.atMost) ? 0 : 1
}

async function plan(): Promise<Section> {
  const figures = SIZES.map((size) => measurePlan(size))
  const rows = figures.map((f: PlanFigures) => [
    count(f.serviceCount),
    formatSpread(f.fullMs),
    formatSpread(f.changeMs, 2),
  ])
  const large = figures.find((f) => f.serviceCount === LARGE)
  return {
    text: `## Building the plan\n\nServices with 2 endpoints each; ms, median (min-max).\n\n${table(['Services', 'from nothing', 'after a change of one Service'], rows)}`,
    bars: [
      {
        what: 'plan rebuild for one change at 10,000 Services',
        measured: large?.changeMs.median ?? Number.NaN,
        atMost: 10,
        unit: 'ms',
      },
    ],
  }
}

async function sync(): Promise<Section> {
  const figures: SyncFigures[] = []
  for (const size of SIZES)
    for (const variant of ['legacy', 'nft'] as const) figures.push(await measureSync(variant, size))
  const rows = figures.flatMap((f) => [
    [`iptables-${f.variant}`, count(f.serviceCount), 'full', ...times(f.full)],
    [`iptables-${f.variant}`, count(f.serviceCount), 'one Service', ...times(f.change)],
  ])
  const large = figures.filter((f) => f.serviceCount === LARGE)
  return {
    text: `## Syncing the kernel\n\nServices with 2 endpoints each; ms, median (min-max). \`program\` is iptables-restore from start to end, \`agent\` is all the rest: plan, rules, difference, text, and for a full sync reading what the kernel has. After each run the kernel's rules are read back and compared with the plan.\n\n${table(['variant', 'Services', 'sync', 'total', 'program', 'agent'], rows)}`,
    bars: large.map((f) => ({
      what: `what the agent adds to a one-Service change at 10,000 Services, iptables-${f.variant}`,
      measured: f.change.agentMs.median,
      atMost: 30,
      unit: 'ms',
    })),
  }
}

async function memory(): Promise<Section> {
  const f: MemoryFigures = await measureMemory(LARGE, 10)
  const row = [
    count(f.serviceCount),
    count(f.endpointCount),
    f.idleMib.toFixed(0),
    f.peakMib.toFixed(0),
    f.readySeconds.toFixed(1),
  ]
  return {
    text: `## Memory of the agent\n\nA real agent process with the folder source, IPv4 and IPv6, iptables-legacy; resident MiB.\n\n${table(['Services', 'endpoints', 'idle after the sync', 'peak since start', 'seconds until ready'], [row])}`,
    bars: [
      { what: 'agent RSS at 10,000 Services × 10 endpoints', measured: f.idleMib, atMost: 350, unit: 'MiB' },
    ],
  }
}

async function steering(): Promise<Section> {
  const figures = await measureSteering()
  const direct = figures.find((f) => f.path === 'direct')?.connectionsPerSecond.median ?? Number.NaN
  const rows = figures.map((f: SteeringFigures) => [
    PATH_NAMES[f.path],
    formatSpread(f.connectionsPerSecond, 0),
    (f.connectionsPerSecond.median / direct).toFixed(2),
    f.proxyCpuUs === undefined ? '' : formatSpread(f.proxyCpuUs, 0),
  ])
  return {
    text: `## Connections through each path\n\nOne pod opens short connections (16 in flight) to an endpoint on its node; every answer is checked. Client, proxy and server share the machine, so read rates as ratios to \`direct\`. The proxy has one engine.\n\n${table(['path', 'connections/s', '× direct', 'proxy CPU µs per connection'], rows)}`,
    bars: [],
  }
}

const PATH_NAMES: Readonly<Record<SteeringFigures['path'], string>> = {
  direct: 'direct to the endpoint',
  kernel: 'ClusterIP, balanced by the kernel',
  sk_lookup: 'ClusterIP, steered by sk_lookup',
  dnat: 'ClusterIP, steered by DNAT',
}

function isPart(name: string): name is keyof typeof parts {
  return name in parts
}

function times(f: SyncFigures['full']): string[] {
  return [formatSpread(f.totalMs), formatSpread(f.programMs), formatSpread(f.agentMs)]
}

function barTable(bars: readonly Bar[]): string {
  const rows = bars.map((bar) => [
    bar.what,
    `≤ ${bar.atMost} ${bar.unit}`,
    `${bar.measured.toFixed(bar.digits ?? 1)} ${bar.unit}`,
    bar.measured <= bar.atMost ? 'held' : 'missed',
  ])
  return `## Bars\n\n${table(['what', 'bar', 'measured', ''], rows)}`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

function page(sections: readonly string[], verdicts: string): string {
  const intro = `# Benchmarks\n\nWritten by \`npm run bench\`, all in one run. Machine: ${machineFacts()}.`
  return `${[intro, ...sections, verdicts].join('\n\n')}\n`
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string' } },
})
process.exitCode = await main(positionals, values.rounds === undefined ? undefined : Number(values.rounds))
