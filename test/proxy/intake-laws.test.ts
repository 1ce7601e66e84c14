// Whatever engines tell, in whatever order: every connection ends in one record, and what is counted adds up.

import test from 'ava'
import * as fc from 'fast-check'
import { DEFAULT_CONNECTION_POLICY } from '#agent/model/connection-policy.ts'
import type { RelayOutcome } from '#agent/proxy/engine/engine.ts'
import { startIntake, STEERED, viewOf, type IntakeLab } from './intake-lab.ts'
import { WEB } from './views.ts'

const ENDPOINTS = ['10.244.1.2:8080', '10.244.2.3:8080', '10.244.3.4:8080']
const OUTCOMES: readonly RelayOutcome[] = [
  'closed',
  'reset-by-client',
  'idle',
  'client-gone',
  'aborted',
  'refused',
]

/** `which`: the connection, counted from the newest. */
type Event =
  | { readonly kind: 'accept'; readonly client: number; readonly destination: string | undefined }
  | { readonly kind: 'failed' | 'connected'; readonly which: number; readonly index: number }
  | { readonly kind: 'exhausted' | 'readable'; readonly which: number }
  | { readonly kind: 'ended'; readonly which: number; readonly outcome: RelayOutcome }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'view'; readonly endpoints: readonly string[] }

const which = fc.nat(8)
const EVENT: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    kind: fc.constant('accept' as const),
    client: fc.nat(3),
    destination: fc.constantFrom(STEERED, STEERED, STEERED, '8.8.8.8:53', undefined),
  }),
  fc.record({ kind: fc.constantFrom('failed' as const, 'connected' as const), which, index: fc.nat(3) }),
  fc.record({ kind: fc.constantFrom('exhausted' as const, 'readable' as const), which }),
  fc.record({ kind: fc.constant('ended' as const), which, outcome: fc.constantFrom(...OUTCOMES) }),
  fc.record({ kind: fc.constant('time' as const), ms: fc.nat(3_000) }),
  fc.record({ kind: fc.constant('view' as const), endpoints: fc.subarray(ENDPOINTS) }),
)

test('every connection ends in one record, and nothing is left open, waiting or counted', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(EVENT, { maxLength: 60 }), fc.boolean(), async (events, lost) => {
      const lab = startIntake({
        endpoints: ENDPOINTS,
        policy: {
          limits: { maxConnections: 6, maxConnectionsPerClient: 3, fair: true },
          connect: { ...DEFAULT_CONNECTION_POLICY.connect, deadlineMs: 4_000 },
        },
        service: { affinitySeconds: 10 },
        random: () => 0.4,
      })
      const ids: number[] = []
      for (const event of events) {
        await happen(lab, ids, event)
        t.is(lab.sum().accepted, lab.sum().ended + lab.table.size)
        t.true(lab.traffic.of(WEB).open <= 6)
      }
      if (lost) lab.intake.lose(lab.worker)
      else for (const id of ids) lab.engine.end(id, 'aborted')
      t.deepEqual(lab.sum(), { accepted: ids.length, ended: ids.length, open: 0 })
      t.deepEqual(
        lab.records.map(({ id }) => id).toSorted((a, b) => a - b),
        ids.map((_, i) => i + 1),
      )
      t.is(lab.clock.pending, 0)
      t.is(lab.traffic.of(WEB).open, 0)
      t.is(lab.traffic.of(WEB).clients, 0)
      t.true(lab.traffic.of(WEB).idle)
      // None of them is refused any more for what others left behind.
      lab.use(viewOf({ endpoints: ENDPOINTS }))
      t.is(lab.engine.verdict(lab.engine.accept('10.244.1.7:1', STEERED))?.kind, 'connect')
      t.deepEqual(
        lab.log.lines.filter(({ level }) => level === 'error'),
        [],
      )
    }),
    { numRuns: 150 },
  )
})

async function happen(lab: IntakeLab, ids: number[], event: Event): Promise<void> {
  const { events } = lab.engine
  if (event.kind === 'time') return lab.clock.advance(event.ms)
  if (event.kind === 'view') return lab.use(viewOf({ endpoints: event.endpoints }))
  if (event.kind === 'accept') {
    ids.push(lab.engine.accept(`10.244.1.${event.client + 1}:${5_000 + ids.length}`, event.destination))
    return
  }
  const id = ids.at(-1 - event.which)
  if (id === undefined) return
  switch (event.kind) {
    case 'failed':
      return events.attemptFailed(id, event.index, 'ECONNREFUSED', 100)
    case 'connected':
      return events.connected(id, event.index, 100)
    case 'exhausted':
      return events.exhausted(id)
    case 'readable':
      return events.readable(id, 0, true)
    case 'ended':
      return lab.engine.end(id, event.outcome)
  }
}
