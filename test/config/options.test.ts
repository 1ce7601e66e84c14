import test from 'ava'
import { join } from 'node:path'
import { optionsDocument } from '#agent/config/document.ts'
import { defaults, optionsOf } from '#agent/config/load.ts'
import { environmentOf, flagOf, OPTION_KEYS, optionRow, OPTIONS } from '#agent/config/options.ts'
import { pathsOf } from '#agent/config/paths.ts'
import { planOptionsOf } from '#agent/config/plan-options.ts'

test('flags and variables follow from the key', (t) => {
  t.is(flagOf('runDir'), '--run-dir')
  t.is(environmentOf('conntrackMaxPerCore'), 'SHUNT_CONNTRACK_MAX_PER_CORE')
})

test('every default reads back from its own text', (t) => {
  for (const key of OPTION_KEYS) {
    const row = optionRow(key)
    const text = row.type.format(row.default)
    t.deepEqual(row.type.parse(text), { ok: true, value: row.default }, `${key} "${text}"`)
  }
})

test('lines go to a stream, a file or nowhere', (t) => {
  const { type } = OPTIONS.accessLog
  t.deepEqual(type.parse('off'), { ok: true, value: { kind: 'off' } })
  t.deepEqual(type.decode('stderr'), { ok: true, value: { kind: 'stderr' } })
  t.deepEqual(type.parse('/var/log/a.log'), { ok: true, value: { kind: 'file', path: '/var/log/a.log' } })
  t.like(type.parse('./off'), { value: { kind: 'file', path: join(process.cwd(), 'off') } })
  for (const wrong of ['', ' ', 'a\0b'])
    t.deepEqual(type.parse(wrong), { ok: false, expected: 'off, stdout, stderr or the path of a file' })
  t.like(type.decode(false), { ok: false })
})

test('the document has a line for each option that is not hidden', (t) => {
  const page = optionsDocument()
  for (const key of OPTION_KEYS)
    t.is(page.includes(`\`${flagOf(key)}\``), optionRow(key).hidden !== true, key)
})

test('run takes the options of agent and proxy, without hidden ones', (t) => {
  t.true(optionsOf('run').includes('manifests'))
  t.true(optionsOf('run').includes('proxyMetricsAddress'))
  t.false(optionsOf('agent').includes('proxyMetricsAddress'))
  t.false(optionsOf('run').includes('fault'))
})

test('paths are system-wide without a run folder and all below it with one', (t) => {
  t.like(pathsOf(''), {
    agentSocket: '/run/shunt/agent.sock',
    lastView: '/var/lib/shunt/last-view.json',
    pinDir: '/sys/fs/bpf/shunt',
    ownPinMount: false,
  })
  for (const path of Object.values(pathsOf('/d')))
    if (typeof path === 'string') t.true(path === '/d' || path.startsWith('/d/'), path)
})

test('the plan gets a detector only where the mode has what it needs', (t) => {
  const probed = { semantics: 'iptables', families: ['IPv4'], mechanism: 'dnat' } as const
  t.like(planOptionsOf({ ...defaults(), nodeName: 'n' }, probed), {
    localDetector: { kind: 'none' },
    nodePortAddresses: { kind: 'default' },
    localhostNodePorts: true,
    steering: { mechanism: 'dnat', proxyPort: 15_001 },
  })
  const bridge = planOptionsOf(
    { ...defaults(), detectLocalMode: 'BridgeInterface', bridgeInterface: 'cni0' },
    { ...probed, semantics: 'nftables' },
  )
  t.deepEqual(bridge.localDetector, { kind: 'bridgeInterface', name: 'cni0' })
  t.false(bridge.localhostNodePorts)
})
