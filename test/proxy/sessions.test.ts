import test from 'ava'
import type { ConnectionRecord } from '#agent/proxy/admin-shapes.ts'
import { Sessions } from '#agent/proxy/sessions.ts'

const record = (id: number): ConnectionRecord => ({ id }) as ConnectionRecord

function live(sessions: Sessions): number {
  const id = sessions.newId()
  sessions.add({ id, record: () => record(id), stop: () => sessions.end(id, record(id)) })
  return id
}

test('the last ones that ended are kept, newest first, and no more', (t) => {
  const sessions = new Sessions(3)
  for (let i = 0; i < 5; i++) sessions.end(live(sessions), record(i))
  t.deepEqual(
    sessions.recent().map(({ id }) => id),
    [4, 3, 2],
  )
})

test('the list of the living is cut where asked', (t) => {
  const sessions = new Sessions()
  for (let i = 0; i < 5; i++) live(sessions)
  t.deepEqual(
    sessions.live(2).map(({ id }) => id),
    [1, 2],
  )
  t.is(sessions.live().length, 5)
})

test('empty resolves when the last one ends, at once if there is none', async (t) => {
  const sessions = new Sessions()
  await sessions.empty()
  live(sessions)
  live(sessions)
  const empty = sessions.empty()
  sessions.stopAll()
  await empty
  t.is(sessions.size, 0)
})
