import test from 'ava'
import { argumentsFor } from '#agent/config/arguments.ts'
import { faultHook, faultHookOfBeginnings, parseFault } from '#agent/config/fault.ts'

test('a fault strikes once, at its step, the Nth time', (t) => {
  let struck = 0
  const hook = faultHook(parseFault('after:commit:2'), 'after', () => (struck += 1))
  const before = faultHook(parseFault('after:commit:2'), 'before', () => t.fail())
  for (const step of ['plan', 'commit', 'plan', 'commit', 'commit']) {
    hook(step)
    before(step)
  }
  t.is(struck, 1)
})

test('a fault can strike the proxy instead', (t) => {
  t.is(parseFault('after:commit')?.victim, 'agent')
  t.like(parseFault('after:commit:2@proxy'), { step: 'commit', times: 2, victim: 'proxy' })
})

for (const text of ['', 'after:x@agent', 'now', 'after:', 'after:x:0', 'after:x:y', 'during:plan'])
  test(`"${text}" is no fault`, (t) => t.is(parseFault(text), undefined))

test('flags go back to a command line, each to the child that it concerns', (t) => {
  const flags = {
    config: '/c',
    manifests: '/m',
    proxyPort: '1',
    masqueradeAll: true,
    fault: 'after:plan',
    other: 1,
  }
  t.deepEqual(argumentsFor('agent', flags), [
    'agent',
    '--config=/c',
    '--manifests=/m',
    '--masquerade-all=true',
    '--proxy-port=1',
    '--fault=after:plan',
  ])
  t.deepEqual(argumentsFor('proxy', flags), ['proxy', '--config=/c', '--proxy-port=1'])
})

test('where only beginnings are told, a step is over when the next begins', (t) => {
  for (const [text, expected] of [
    ['after:sets', 'rules'],
    ['before:sets', 'sets'],
    ['after:end', 'none'],
  ] as const) {
    let now = ''
    let struckAt = 'none'
    const hook = faultHookOfBeginnings(parseFault(text), () => (struckAt = now))
    for (now of ['prepare', 'sets', 'rules', 'end']) hook(now)
    t.is(struckAt, expected, text)
  }
})
