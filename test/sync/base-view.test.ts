import test from 'ava'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkView } from '#agent/proxy/decision/view-check.ts'
import { baseView } from '#agent/sync/base-view.ts'
import { publishView } from '#agent/sync/publish.ts'
import { aService, aSlice, planOf } from '#test/support/build.ts'
import { quietLog } from '#test/support/quiet-log.ts'

const VIEW = publishView(
  planOf({ services: [aService({ steer: 'always' })], slices: [aSlice({ endpoints: ['10.244.1.5'] })] }),
  { epoch: 'e' },
)

const ROWS: readonly (readonly [string, string | undefined, boolean, number])[] = [
  ['a view is read', JSON.stringify(VIEW), true, 0],
  ['no file is no view, and normal', undefined, false, 0],
  ['a torn file is no view', '{"version":1,', false, 1],
  ['another version is no view', JSON.stringify({ ...VIEW, version: 99 }), false, 1],
  ['something else is no view', '[]', false, 1],
]

for (const [name, content, found, warnings] of ROWS)
  test(name, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'shunt-base-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const path = join(folder, 'last-view.json')
    if (content !== undefined) await writeFile(path, content)
    const log = quietLog()
    t.deepEqual(await baseView(path, checkView, log), found ? VIEW : undefined)
    t.is(log.lines.length, warnings)
  })
