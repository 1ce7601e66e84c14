// The access log against real descriptors: files, a pipe whose reader stopped, a device that is always full.

import test from 'ava'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '#agent/kernel/clock.ts'
import { openAccessLog, type AccessLog, type AccessLogOptions } from '#agent/observe/access-log.ts'
import { manualClock } from '../support/manual-clock.ts'

interface Opened {
  readonly log: AccessLog
  readonly path: string
  readonly dropped: () => number
  readonly errors: string[]
}

function open(
  t: { teardown(fn: () => void): void },
  options: Partial<AccessLogOptions> = {},
  path?: string,
): Opened {
  const folder = mkdtempSync(join(tmpdir(), 'access-log-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const place = path ?? join(folder, 'access.log')
  let dropped = 0
  const errors: string[] = []
  const log = openAccessLog(
    { kind: 'file', path: place },
    {
      clock: systemClock,
      onDrop: (lines) => (dropped += lines),
      onError: (error) => errors.push(error.message),
      ...options,
    },
  )
  return { log, path: place, dropped: () => dropped, errors }
}

test('writes a JSON object a line, the time first, and all of them before it closes', async (t) => {
  const clock = manualClock(Date.UTC(2026, 10, 25, 12))
  const { log, path, dropped } = open(t, { clock })
  for (let i = 0; i < 2_000; i++) log.write({ client: '10.0.0.1:4242', bytes: i }, () => 'never')
  await log.close()
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  t.is(lines.length, 2_000)
  t.is(lines[7], '{"log":"access","time":"2026-11-25T12:00:00.000Z","client":"10.0.0.1:4242","bytes":7}')
  t.is(dropped(), 0)
})

test('writes text for a person, with the time of day', async (t) => {
  const clock = manualClock(new Date(2026, 10, 25, 12, 34, 56, 89).getTime())
  const { log, path } = open(t, { clock, format: 'text' })
  log.write({ bytes: 1 }, () => 'default/web ← 10.0.0.1')
  await log.close()
  t.is(readFileSync(path, 'utf8'), '12:34:56.089 default/web ← 10.0.0.1\n')
})

test('a few lines are in the file a quarter of a second later, without closing', async (t) => {
  const { log, path } = open(t)
  log.write({ n: 1 }, () => '')
  log.write({ n: 2 }, () => '')
  t.is(readFileSync(path, 'utf8'), '')
  for (let i = 0; i < 100 && readFileSync(path, 'utf8') === ''; i++)
    await new Promise((resolve) => setTimeout(resolve, 50))
  t.is(readFileSync(path, 'utf8').split('\n').length, 3)
  await log.close()
})

test('a file is appended to, and may be truncated under it, as copytruncate does', async (t) => {
  const first = open(t)
  first.log.write({ n: 1 }, () => '')
  await first.log.close()
  t.is(statSync(first.path).mode & 0o777, 0o640)

  const second = open(t, { maxBufferedBytes: 1_000_000 }, first.path)
  second.log.write({ n: 'x'.repeat(9_000) }, () => '')
  for (let i = 0; i < 100 && statSync(first.path).size < 9_000; i++)
    await new Promise((resolve) => setTimeout(resolve, 20))
  t.regex(
    readFileSync(first.path, 'utf8').replace(/x+/, 'x'),
    /^\{"log":"access","time":"[^"]*","n":1\}\n\{[^\n]*x"\}\n$/,
  )
  truncateSync(first.path)
  second.log.write({ n: 3 }, () => '')
  await second.log.close()
  t.regex(readFileSync(first.path, 'utf8'), /^\{"log":"access","time":"[^"]*","n":3\}\n$/)
})

test('a reader that stopped holds nobody up: what does not fit is dropped and counted', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'access-log-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'pipe')
  execFileSync('/usr/bin/mkfifo', [path])
  const reader = openSync(path, 'r+')
  // Without a reader the write that hangs ends, whose thread would keep the test's process.
  t.teardown(() => closeSync(reader))
  const clock = manualClock()
  const { log, dropped } = open(t, { clock, maxBufferedBytes: 300_000 }, path)
  const written = 3_000
  const line = { padding: 'x'.repeat(200) }
  for (let i = 0; i < written; i++) log.write(line, () => '')
  const sizeBytes = JSON.stringify({ log: 'access', time: new Date(0).toISOString(), ...line }).length + 1
  t.is(dropped(), written - Math.floor(300_000 / sizeBytes))

  const closed = log.close()
  await clock.advance(1_000)
  await closed
  t.true(dropped() > written - 300_000 / sizeBytes, 'what could not be written at the end is counted, too')
  log.write(line, () => '')
  t.true(dropped() <= written + 1)
})

test('a full disk is reported, tried again, and costs lines only', async (t) => {
  const clock = manualClock()
  const { log, dropped, errors } = open(t, { clock }, '/dev/full')
  log.write({ n: 1 }, () => '')
  log.write({ n: 2 }, () => '')
  await clock.advance(250)
  await until(() => errors.length === 1)
  await clock.advance(250)
  await until(() => errors.length === 2)
  t.regex(errors[0] ?? '', /ENOSPC/)
  t.is(dropped(), 0)
  const closed = log.close()
  await until(() => errors.length >= 3)
  await clock.advance(1_000)
  await closed
  t.is(dropped(), 2)
})

test('a file that cannot be opened is an error that names the option', (t) => {
  t.throws(() => open(t, {}, '/does/not/exist.log'), {
    message: /access log cannot be opened: ENOENT/,
    code: 'NOT_PERMITTED',
  })
})

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
}
