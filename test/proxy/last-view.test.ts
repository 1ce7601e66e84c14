import test, { type ExecutionContext } from 'ava'
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LastView, loadLastView } from '#agent/proxy/last-view.ts'
import { quietLog } from '../support/quiet-log.ts'
import { manualClock } from '../support/manual-clock.ts'
import { view } from './views.ts'

async function folder(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'shunt-last-view-'))
  t.teardown(() => rm(made, { recursive: true, force: true }))
  return made
}

test('what was saved is loaded', async (t) => {
  const path = join(await folder(t), 'last-view.json')
  const last = new LastView(path, manualClock(), quietLog())
  last.save(view({ generation: 1 }))
  last.save(view({ generation: 2 }))
  await last.flush()
  t.deepEqual(await loadLastView(path), { kind: 'loaded', view: view({ generation: 2 }) })
})

test('a burst of changes is one write, soon, and leaves one file', async (t) => {
  const dir = await folder(t)
  const clock = manualClock()
  const last = new LastView(join(dir, 'last-view.json'), clock, quietLog())
  for (let generation = 1; generation <= 50; generation++) last.save(view({ generation }))
  t.is(clock.pending, 1)
  t.deepEqual(await readdir(dir), [])
  await clock.advance(200)
  await last.flush()
  t.deepEqual(await readdir(dir), ['last-view.json'])
})

test('no file is nothing, garbage and a cut-off file are told apart from it', async (t) => {
  const path = join(await folder(t), 'last-view.json')
  t.is((await loadLastView(path)).kind, 'none')
  await writeFile(path, '\u0000\u0001garbage')
  t.is((await loadLastView(path)).kind, 'bad')
  await writeFile(path, JSON.stringify(view()))
  await truncate(path, 100)
  t.is((await loadLastView(path)).kind, 'bad')
  await writeFile(path, '{"version":1}')
  t.is((await loadLastView(path)).kind, 'bad')
})

test('a folder that is gone is a problem that goes away with it', async (t) => {
  const dir = await folder(t)
  const log = quietLog()
  const last = new LastView(join(dir, 'gone', 'last-view.json'), manualClock(), log)
  last.save(view())
  await last.flush()
  t.regex(last.problem, /ENOENT/)
  t.is(log.lines.length, 1)
})
