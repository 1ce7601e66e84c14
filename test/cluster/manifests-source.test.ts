// The live folder, over a real file system and real time: every change must be in force within a second.

import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { ManifestsSource } from '../../agent/cluster/manifests-source.ts'
import type { Clock } from '../../agent/model/clock.ts'
import type { Log } from '../../agent/model/log.ts'
import { serviceId } from '../../agent/model/ids.ts'
import { NODE, SERVICE, SLICE } from '../fixtures/malformed/bases.ts'

const WEB = serviceId('default', 'web')
const TICK_MS = 20
const LIVE_WITHIN_MS = 1000

const clock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs)
    return () => clearTimeout(timer)
  },
}

const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => log,
}

const OTHER_PORT = SERVICE.replace('port: 80\n', 'port: 81\n')
const BROKEN = SERVICE.replace('port: 80\n', 'port: eighty\n')

async function emptyFolder(t: ExecutionContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'shunt-live-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

async function watched(t: ExecutionContext, dir: string): Promise<ManifestsSource> {
  const source = new ManifestsSource({ dir, nodeName: 'node-a', clock, log })
  t.teardown(() => source.stop())
  await source.start()
  return source
}

function portOf(source: ManifestsSource): number | undefined {
  return source.snapshot().services.get(WEB)?.ports[0]?.port
}

/** Waits for notices of the source until the condition holds; fails after a second of this process's own time. */
async function live(t: ExecutionContext, source: ManifestsSource, holds: () => boolean): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const check = (): void => (holds() ? resolve() : undefined)
  const end = source.onChange(check)
  // Ticks that come late tell what others of the machine took away, which says nothing about the source.
  let ticks = 0
  const clockwork = setInterval(() => {
    if (++ticks * TICK_MS >= LIVE_WITHIN_MS) reject(new Error('not live within a second'))
  }, TICK_MS)
  check()
  try {
    await promise
    t.true(ticks * TICK_MS < LIVE_WITHIN_MS)
  } finally {
    end()
    clearInterval(clockwork)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

test('the first look is complete when start resolves', async (t) => {
  const dir = await emptyFolder(t)
  await writeFile(join(dir, 'web.yaml'), `${SERVICE}---\n${SLICE}---\n${NODE}`)
  const source = await watched(t, dir)
  t.true(source.synced())
  t.is(portOf(source), 80)
  t.is(source.snapshot().node?.name, 'node-a')
})

test('a file written anew is live within a second', async (t) => {
  const dir = await emptyFolder(t)
  const source = await watched(t, dir)
  await writeFile(join(dir, 'web.yaml'), SERVICE)
  await live(t, source, () => portOf(source) === 80)
  await writeFile(join(dir, 'web.yaml'), OTHER_PORT)
  await live(t, source, () => portOf(source) === 81)
})

test('a file replaced by rename is live, and its objects are never gone in between', async (t) => {
  const dir = await emptyFolder(t)
  await writeFile(join(dir, 'web.yaml'), SERVICE)
  const source = await watched(t, dir)
  let gone = 0
  source.onChange(() => {
    if (portOf(source) === undefined) gone++
  })
  // As editors do: the old file away, a new one in its place a moment later. On a busy machine the moment may be too
  // long for anybody to call it one; then once more.
  for (let port = 81; ; port++) {
    const awayMs = performance.now()
    await rename(join(dir, 'web.yaml'), join(dir, 'web.yaml~'))
    await writeFile(join(dir, '.web.yaml.new'), SERVICE.replace('port: 80', `port: ${port}`))
    await pause(120)
    await rename(join(dir, '.web.yaml.new'), join(dir, 'web.yaml'))
    const wasMoment = performance.now() - awayMs < 250
    await live(t, source, () => portOf(source) === port)
    if (wasMoment) break
    gone = 0
    if (port > 90) return t.fail('this machine is too busy for a moment')
  }
  t.is(gone, 0)
})

test('a file emptied and then written keeps its objects in between', async (t) => {
  const dir = await emptyFolder(t)
  await writeFile(join(dir, 'web.yaml'), SERVICE)
  const source = await watched(t, dir)
  let gone = false
  source.onChange(() => {
    gone ||= portOf(source) === undefined
  })
  await writeFile(join(dir, 'web.yaml'), '')
  await pause(120)
  await writeFile(join(dir, 'web.yaml'), OTHER_PORT)
  await live(t, source, () => portOf(source) === 81)
  t.false(gone)
})

test('a removed file takes its objects with it within a second', async (t) => {
  const dir = await emptyFolder(t)
  await writeFile(join(dir, 'a.yaml'), NODE)
  await writeFile(join(dir, 'web.yaml'), SERVICE)
  const source = await watched(t, dir)
  await rm(join(dir, 'web.yaml'))
  await live(t, source, () => portOf(source) === undefined)
  t.is(source.snapshot().node?.name, 'node-a')
})

test('a document that becomes bad leaves its last good version in force, and a good one cures it', async (t) => {
  const dir = await emptyFolder(t)
  await writeFile(join(dir, 'web.yaml'), `${SERVICE}---\n${SLICE}`)
  const source = await watched(t, dir)
  const before = source.snapshot()
  await writeFile(join(dir, 'web.yaml'), `${BROKEN}---\n${SLICE.replace('10.244.1.5', '10.244.1.6')}`)
  await live(t, source, () => source.problems().length === 1)
  t.like(source.problems()[0], {
    object: 'Service default/web',
    field: 'spec.ports[0].port',
    file: join(dir, 'web.yaml'),
    line: 11,
    message: 'expected a whole number from 1 to 65535, found "eighty"; the object stays in force as before',
  })
  t.is(source.snapshot().services.get(WEB), before.services.get(WEB))
  t.is(source.snapshot().slices.get(WEB)?.[0]?.endpoints[0]?.ip.toString(), '10.244.1.6')
  await writeFile(join(dir, 'web.yaml'), OTHER_PORT)
  await live(t, source, () => portOf(source) === 81)
  t.deepEqual(source.problems(), [])
})

test('a file that cannot be parsed leaves all its objects in force', async (t) => {
  const dir = await emptyFolder(t)
  await writeFile(join(dir, 'web.json'), JSON.stringify({ kind: 'List', apiVersion: 'v1', items: [] }))
  await writeFile(join(dir, 'web.yaml'), `${SERVICE}---\n${SLICE}`)
  const source = await watched(t, dir)
  const before = source.snapshot()
  await writeFile(join(dir, 'web.yaml'), Buffer.from([0xff, 0xff]))
  await live(t, source, () => source.problems().length === 1)
  t.is(source.snapshot(), before)
  t.regex(source.problems()[0]?.message ?? '', /UTF-8 text; in force as before: 2 of the file's objects$/)
})

test('a ConfigMap mount is switched by its link', async (t) => {
  const dir = await emptyFolder(t)
  for (const [version, text] of [
    ['..v1', SERVICE],
    ['..v2', OTHER_PORT],
  ] as const) {
    await mkdir(join(dir, version))
    await writeFile(join(dir, version, 'web.yaml'), text)
  }
  await symlink('..v1', join(dir, '..data'))
  await symlink(join('..data', 'web.yaml'), join(dir, 'web.yaml'))
  const source = await watched(t, dir)
  t.is(portOf(source), 80)
  await symlink('..v2', join(dir, '..data_tmp'))
  await rename(join(dir, '..data_tmp'), join(dir, '..data'))
  await live(t, source, () => portOf(source) === 81)
})

test('a folder that is a link is followed to where it points now', async (t) => {
  const root = await emptyFolder(t)
  for (const [name, text] of [
    ['one', SERVICE],
    ['two', OTHER_PORT],
  ] as const) {
    await mkdir(join(root, name))
    await writeFile(join(root, name, 'web.yaml'), text)
  }
  await symlink('one', join(root, 'current'))
  const source = await watched(t, join(root, 'current'))
  await symlink('two', join(root, 'next'))
  await rename(join(root, 'next'), join(root, 'current'))
  await live(t, source, () => portOf(source) === 81)
  // The watch has moved along: the new target's own changes are seen too.
  await writeFile(join(root, 'two', 'web.yaml'), SERVICE)
  await live(t, source, () => portOf(source) === 80)
})

test('a folder that is made later is waited for; one that is removed changes nothing', async (t) => {
  const root = await emptyFolder(t)
  const dir = join(root, 'manifests')
  const source = await watched(t, dir)
  t.false(source.synced())
  t.is(source.problems()[0]?.code, 'MANIFEST_UNREADABLE')
  await mkdir(dir)
  await writeFile(join(dir, 'web.yaml'), SERVICE)
  await live(t, source, () => source.synced() && portOf(source) === 80)
  t.deepEqual(source.problems(), [])
  await rename(dir, join(root, 'away'))
  await live(t, source, () => source.problems().length === 1)
  t.is(portOf(source), 80)
  await mkdir(dir)
  await writeFile(join(dir, 'web.yaml'), OTHER_PORT)
  await live(t, source, () => portOf(source) === 81)
})

test('an edit of one document leaves every other object what it was', async (t) => {
  const dir = await emptyFolder(t)
  const many = Array.from({ length: 50 }, (_, i) =>
    SERVICE.replace('web', `web-${i}`).replace('30080', `${31000 + i}`),
  )
  await writeFile(join(dir, 'many.yaml'), [SERVICE, ...many].join('---\n'))
  const source = await watched(t, dir)
  const before = source.snapshot()
  await writeFile(join(dir, 'many.yaml'), [OTHER_PORT, ...many].join('---\n'))
  await live(t, source, () => portOf(source) === 81)
  const changed = [...source.snapshot().services].filter(
    ([id, service]) => before.services.get(id) !== service,
  )
  t.deepEqual(
    changed.map(([id]) => id),
    [WEB],
  )
  t.is(source.snapshot().generation, before.generation + 1)
})

test('a stopped source is silent', async (t) => {
  const dir = await emptyFolder(t)
  const source = await watched(t, dir)
  let notices = 0
  source.onChange(() => notices++)
  source.stop()
  await writeFile(join(dir, 'web.yaml'), SERVICE)
  await pause(900)
  t.is(notices, 0)
})
