import test from 'ava'
import { ShuntError } from '#agent/model/errors.ts'
import { adminRoutes, type AdminSources } from '#agent/observe/admin.ts'
import type { Reply, Request } from '#agent/observe/http-json.ts'

const REQUEST: Request = { method: 'GET', path: '/', query: new URLSearchParams(), body: undefined }

const READY: AdminSources = {
  status: () => ({ state: 'ready' }),
  plan: () => ({ generation: 1 }),
  snapshot: () => ({ services: [] }),
  configuration: () => ({ nodeName: 'n' }),
  problems: () => [],
  drift: () => ({ driftRepairs: 0 }),
  rules: () => '*nat\nCOMMIT\n',
  metrics: () => 'a 1\n',
  resync: () => Promise.resolve({ syncs: 2 }),
}

async function ask(sources: AdminSources, route: string): Promise<Reply | undefined> {
  return await adminRoutes(sources)[route]?.(REQUEST)
}

const ROWS: readonly (readonly [string, unknown])[] = [
  ['GET /status', { state: 'ready' }],
  ['GET /plan', { generation: 1 }],
  ['GET /snapshot', { services: [] }],
  ['GET /config', { nodeName: 'n' }],
  ['GET /problems', []],
  ['GET /drift', { driftRepairs: 0 }],
  ['POST /resync', { syncs: 2 }],
]

for (const [route, value] of ROWS)
  test(`${route} answers JSON`, async (t) => {
    t.like(await ask(READY, route), { kind: 'json', status: 200 })
    const reply = await ask(READY, route)
    t.deepEqual(reply?.kind === 'json' ? reply.value : undefined, value)
  })

test('rules and metrics are text', async (t) => {
  t.like(await ask(READY, 'GET /rules'), { kind: 'text', text: '*nat\nCOMMIT\n' })
  t.like(await ask(READY, 'GET /metrics'), { kind: 'text', text: 'a 1\n' })
})

for (const route of ['GET /plan', 'GET /snapshot', 'GET /rules'])
  test(`${route} is NOT_READY before the first plan, and status still answers`, async (t) => {
    const starting = { ...READY, plan: () => {}, snapshot: () => {}, rules: () => undefined }
    const error = await t.throwsAsync(ask(starting, route), { instanceOf: ShuntError })
    t.is(error.code, 'NOT_READY')
    t.like(await ask(starting, 'GET /status'), { status: 200 })
  })
