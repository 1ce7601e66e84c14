import test from 'ava'
import { ConnectionTable } from '#agent/proxy/connection-table.ts'
import { Connection } from '#agent/proxy/connection.ts'
import { Worker } from '#agent/proxy/worker.ts'
import { FakeEngine } from './fake-engine.ts'
import { silentEvents } from './silent-events.ts'
import { endpoint } from './views.ts'

const worker = (number: number): Worker => new Worker(number, () => new FakeEngine(silentEvents(), () => 0))

/** Engines number their connections on their own. */
function add(table: ConnectionTable, to: Worker, id: number): Connection {
  const addresses = { client: endpoint('10.0.0.1:1'), destination: undefined }
  const connection = new Connection(table.newNumber(), to, id, addresses, 0)
  table.add(connection)
  return connection
}

const numbers = (connections: Iterable<Connection>): readonly number[] =>
  [...connections].map(({ number }) => number)

test('the last ones that ended are kept, newest first, and no more', (t) => {
  const table = new ConnectionTable(3)
  const one = worker(0)
  for (let id = 0; id < 5; id++) table.end(add(table, one, id), true)
  table.end(add(table, one, 9), false)
  t.deepEqual(numbers(table.ended()), [5, 4, 3])
  t.is(table.size, 0)
})

test('the living of all workers are listed oldest first, and cut where asked', (t) => {
  const table = new ConnectionTable()
  const [one, two] = [worker(0), worker(1)]
  const all = [
    add(table, one, 1),
    add(table, two, 1),
    add(table, two, 2),
    add(table, one, 2),
    add(table, two, 3),
  ]
  t.deepEqual(numbers(table.live()), [1, 2, 3, 4, 5])
  t.deepEqual(numbers(table.live(2)), [1, 2])
  for (const at of [0, 2]) table.end(all[at] as Connection, true)
  t.deepEqual(numbers(table.live()), [2, 4, 5])
  const seen: number[] = []
  table.forEachLive(({ number }) => seen.push(number))
  t.deepEqual(
    seen.toSorted((a, b) => a - b),
    [2, 4, 5],
  )
})

test('the same id of two workers is two connections', (t) => {
  const table = new ConnectionTable()
  const [one, two] = [worker(0), worker(1)]
  const first = add(table, one, 7)
  const second = add(table, two, 7)
  table.end(first, true)
  t.deepEqual(numbers(table.live()), [second.number])
  t.is(two.connections.get(7), second)
})

test('empty resolves when the last one ends, at once if there is none', async (t) => {
  const table = new ConnectionTable()
  await table.empty()
  const one = worker(0)
  const [a, b] = [add(table, one, 1), add(table, one, 2)]
  let empty = false
  const waiting = table.empty().then(() => (empty = true))
  table.end(a, true)
  await new Promise(setImmediate)
  t.false(empty)
  table.end(b, true)
  await waiting
  t.true(empty)
})
