// The memory that the relay shares, as JavaScript and C++ each see it: one program prints what the compiler made of the
// headers, and it must be what agent/kernel/relay-layout.ts says.

import test from 'ava'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as layout from '#agent/kernel/relay-layout.ts'
import { RelayRings } from '#agent/kernel/relay-rings.ts'

const SOURCES = fileURLToPath(new URL('../../native/src', import.meta.url))
const SIZES = { events: 8, commands: 4, slots: 3 }

const kebabToPascal = (name: string): string =>
  name.replace(/(^|-)([a-z])/g, (_, _dash, letter: string) => letter.toUpperCase())
const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** A C++ expression for every number of the layout, under the name that it has here. */
const EXPRESSIONS: Readonly<Record<string, readonly [number, string]>> = {
  ...each('WORD', layout.WORD, (name) => `Word::k${kebabToPascal(name)}`),
  ...each('EVENT_KIND', layout.EVENT_KIND, (name) => `EventKind::k${kebabToPascal(name)}`),
  ...each('EVENT_FLAG', layout.EVENT_FLAG, (name) => `k${kebabToPascal(name)}`),
  ...each('OUTCOME', layout.OUTCOME, (name) => `Outcome::k${kebabToPascal(name)}`),
  ...each('COMMAND_KIND', layout.COMMAND_KIND, (name) => `CommandKind::k${kebabToPascal(name)}`),
  ...each('EVENT', layout.EVENT, (name) => `offsetof(Event, ${eventField(name)})`),
  ...each('LEG', layout.LEG, (name) => `offsetof(LegInfo, ${snake(name)})`),
  ...each('COMMAND', layout.COMMAND, (name) => `offsetof(Command, ${snake(name)})`),
  ...each(
    'COUNTERS',
    Object.fromEntries(layout.COUNTERS.map((name, i) => [name, i * 8])),
    (name) => `offsetof(Counters, ${snake(name)})`,
  ),
  COUNTERS_BYTES: [layout.COUNTERS.length * 8, 'sizeof(Counters)'],
  EVENT_BYTES: [layout.EVENT_BYTES, 'sizeof(Event)'],
  COMMAND_BYTES: [layout.COMMAND_BYTES, 'sizeof(Command)'],
  CANDIDATE_BYTES: [layout.CANDIDATE_BYTES, 'sizeof(Candidate)'],
  CANDIDATE_PORT: [layout.CANDIDATE_PORT, 'offsetof(Candidate, port)'],
  MAX_CANDIDATES: [layout.MAX_CANDIDATES, 'kMaxCandidates'],
  MAX_PREFIX_BYTES: [layout.MAX_PREFIX_BYTES, 'kMaxPrefix'],
  HEADER_BYTES: [layout.HEADER_BYTES, 'SharedMemory::kHeaderSize'],
  COUNTERS_AT: [layout.COUNTERS_AT, 'SharedMemory::kCountersAt'],
  SLOT_BITS: [layout.SLOT_BITS, 'SharedMemory::kSlotBits'],
  SLOT_BYTES: [layout.SLOT_BYTES, 'SharedMemory::kSlotSize'],
  memory: [
    new RelayRings(SIZES).memory.byteLength,
    `SharedMemory::size_for(${SIZES.events}, ${SIZES.commands}, ${SIZES.slots})`,
  ],
}

test('both languages put everything at the same place', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'shunt-layout-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'layout.cc'), program())
  const flags = ['-std=c++20', '-Wno-invalid-offsetof', `-I${SOURCES}`]
  const compiled = spawnSync('/usr/bin/g++', [...flags, '-o', 'layout', 'layout.cc'], {
    cwd: folder,
    encoding: 'utf8',
  })
  t.is(compiled.status, 0, compiled.stderr)
  const printed = spawnSync(join(folder, 'layout'), { encoding: 'utf8' }).stdout
  const theirs = JSON.parse(printed) as Record<string, number>
  const ours = Object.fromEntries(Object.entries(EXPRESSIONS).map(([name, [value]]) => [name, value]))
  t.true(Object.keys(ours).length > 70)
  t.deepEqual(ours, theirs)
})

function eventField(name: string): string {
  const fields: Record<string, string> = {
    client: 'accepted.client',
    destination: 'accepted.destination',
    clientPort: 'accepted.client_port',
    destinationPort: 'accepted.destination_port',
    waiting: 'readable.waiting',
    fromClient: 'ended.from_client',
    fromEndpoint: 'ended.from_endpoint',
    outcome: 'ended.outcome',
    clientLeg: 'ended.client',
    endpointLeg: 'ended.endpoint',
  }
  return fields[name] ?? snake(name)
}

function each(
  table: string,
  values: Readonly<Record<string, number>>,
  expression: (name: string) => string,
): Record<string, readonly [number, string]> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`${table}.${name}`, [value, expression(name)]]),
  )
}

function program(): string {
  const lines = Object.entries(EXPRESSIONS).map(
    ([name, [, expression]], i) =>
      `  std::printf("${i === 0 ? '' : ','}\\"${name}\\": %zu\\n", static_cast<size_t>(${expression}));`,
  )
  return `#include "relay/shared_memory.h"
#include <cstdio>
using namespace shunt::relay;
int main() {
  std::printf("{");
${lines.join('\n')}
  std::printf("}");
}
`
}
