import test from 'ava'
import { applyDelta } from '#agent/proxy/decision/apply.ts'
import type { ViewDelta } from '#agent/proxy/decision/view.ts'
import { frontend, service, view, WEB } from '../views.ts'

const EMPTY: ViewDelta = { version: 2, epoch: 'e1', from: 1, to: 2, frontends: {}, services: {} }

test('a change adds, replaces and removes, and leaves the old view alone', (t) => {
  const old = view()
  const copy = structuredClone(old)
  const applied = applyDelta(old, {
    ...EMPTY,
    frontends: { '10.96.0.11|80': frontend('ExternalIP'), 'node|30080': null },
    services: { [WEB]: service(['10.244.9.9:80']) },
  })
  t.deepEqual(old, copy)
  t.deepEqual(applied, {
    kind: 'ok',
    view: view({
      generation: 2,
      frontends: { '10.96.0.10|80': frontend(), '10.96.0.11|80': frontend('ExternalIP') },
      services: { [WEB]: service(['10.244.9.9:80']) },
    }),
  })
})

test('an empty change moves the generation alone', (t) => {
  const old = view()
  const applied = applyDelta(old, EMPTY)
  t.is(applied.kind === 'ok' && applied.view.frontends, old.frontends)
  t.is(applied.kind === 'ok' && applied.view.generation, 2)
})

test('the node changes with the change', (t) => {
  const node = { name: 'other', podCidrs: [], addresses: [] }
  const applied = applyDelta(view(), { ...EMPTY, node })
  t.deepEqual(applied.kind === 'ok' && applied.view.node, node)
})

const REFUSED: readonly (readonly [string, Partial<ViewDelta>, RegExp])[] = [
  ['a change of another epoch', { epoch: 'e2' }, /epoch/],
  ['a change that skips a generation', { from: 2, to: 3 }, /starts at generation 2, ours is 1/],
  ['a change that leads back', { to: 1 }, /back/],
]
for (const [name, delta, because] of REFUSED)
  test(`${name} asks for a snapshot`, (t) => {
    const applied = applyDelta(view(), { ...EMPTY, ...delta })
    t.regex(applied.kind === 'resync' ? applied.because : '', because)
  })

test('a change before any snapshot asks for one', (t) => {
  t.is(applyDelta(undefined, EMPTY).kind, 'resync')
})
