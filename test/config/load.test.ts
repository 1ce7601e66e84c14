import test, { type ExecutionContext } from 'ava'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigurationError, loadConfiguration, type ConfigurationInput } from '#agent/config/load.ts'
import { formatProblem } from '#agent/model/errors.ts'

async function file(t: ExecutionContext, content: string | Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shunt-config-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'config.yaml')
  await writeFile(path, content)
  return path
}

function load(given: Partial<ConfigurationInput>) {
  return loadConfiguration({
    command: 'agent',
    environment: {},
    hostname: 'Host-1',
    ...given,
    flags: { manifests: '/m', ...given.flags },
  })
}

async function problemsOf(t: ExecutionContext, given: Partial<ConfigurationInput>): Promise<string[]> {
  const error = await t.throwsAsync(load(given), { instanceOf: ConfigurationError })
  return error.problems.map((problem) => formatProblem(problem).replace(/^.*config\.yaml/, 'config.yaml'))
}

test('defaults are used, and the node is named like the host in lower case', async (t) => {
  const { configuration, warnings, file } = await load({})
  t.like(configuration, { nodeName: 'host-1', datapath: 'auto', masqueradeBit: 14, syncPeriod: 30_000 })
  t.deepEqual(configuration.healthzAddress, { host: '0.0.0.0', port: 10_256 } as never)
  t.deepEqual(warnings, [])
  t.is(file, undefined)
})

test('flags win over the environment, the environment over the file, the file over defaults', async (t) => {
  const config = await file(
    t,
    'apiVersion: shunt.dev/v1alpha1\nkind: ShuntConfiguration\nproxyPort: 1\nproxyUid: 1\nmasqueradeBit: 1\n',
  )
  const { configuration } = await load({
    flags: { config, proxyPort: '3' },
    environment: { SHUNT_PROXY_PORT: '2', SHUNT_PROXY_UID: '2' },
  })
  t.like(configuration, { proxyPort: 3, proxyUid: 2, masqueradeBit: 1, iptablesVariant: 'auto' })
})

test('every value type reads from a file', async (t) => {
  const config = await file(
    t,
    `apiVersion: shunt.dev/v1alpha1
kind: ShuntConfiguration
nodeName: Node-A
masqueradeAll: true
clusterCidr: [10.244.1.0/16, "fd00::/64"]
nodePortAddresses: primary
syncPeriod: 1m
metricsAddress: "[::1]:1"
healthzAddress: off
steeringMechanism: dnat
`,
  )
  const { configuration } = await load({ flags: { config } })
  t.like(configuration, {
    nodeName: 'node-a',
    masqueradeAll: true,
    nodePortAddresses: 'primary',
    syncPeriod: 60_000,
    healthzAddress: undefined,
    steeringMechanism: 'dnat',
  })
  t.deepEqual(configuration.clusterCidr as readonly string[], ['10.244.0.0/16', 'fd00::/64'])
  t.deepEqual(configuration.metricsAddress, { host: '::1', port: 1 } as never)
})

test('all problems come at once, each with its file, line and field', async (t) => {
  const config = await file(
    t,
    `apiVersion: shunt.dev/v1alpha1
kind: ShuntConfiguration
masqueradeBit: 99
clusterCIDR: 10.0.0.0/8
clusterCidr: [10.0.0.0/33]
syncPeriod: soon
logLevel: loud
proxyPort: "80"
`,
  )
  t.deepEqual(
    await problemsOf(t, { flags: { config, proxyUid: '-4' }, environment: { SHUNT_STEER: 'no' } }),
    [
      'config.yaml:3: masqueradeBit: expected a whole number from 0 to 31',
      'config.yaml:4: clusterCIDR: unknown field; did you mean "clusterCidr"?',
      'config.yaml:5: clusterCidr: expected CIDR ranges such as 10.244.0.0/16; "10.0.0.0/33" is none',
      'config.yaml:6: syncPeriod: expected a duration such as 30s or 250ms, at least 100ms',
      'config.yaml:7: logLevel: expected one of debug, info, warn, error',
      'config.yaml:8: proxyPort: expected a whole number from 1 to 65535',
      'SHUNT_STEER: expected one of auto, always, never',
      '--proxy-uid: expected a whole number from 0 to 4294967294, got "-4"',
    ],
  )
})

const HEAD = 'apiVersion: shunt.dev/v1alpha1\nkind: ShuntConfiguration\n'
const BROKEN: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
  ['no YAML', 'a: [1, 2', /config\.yaml:1: /],
  ['a list', '- 1\n- 2\n', /expected a map with apiVersion and kind/],
  ['empty', '', /expected a map with apiVersion and kind/],
  ['a wrong kind', 'apiVersion: v1\nkind: Service\n', /config\.yaml:1: apiVersion: expected shunt\.dev/],
  [
    'our version, another kind',
    'apiVersion: shunt.dev/v1alpha1\nkind: X\n',
    /config\.yaml:2: kind: expected/,
  ],
  ['a key given twice', `${HEAD}steer: auto\nsteer: never\n`, /config\.yaml:4: Map keys must be unique/],
  ['not UTF-8', new Uint8Array([0x61, 0x3a, 0x20, 0xff, 0xfe, 0x0a]), /is not UTF-8 text/],
  ['too large', `${HEAD}# ${'x'.repeat(1_100_000)}`, /larger than 1048576 bytes/],
  ['aliases that multiply', aliases(), /config\.yaml: .*alias/i],
  ['an anchor in a cycle', `${HEAD}clusterCidr: &a [*a]\n`, /clusterCidr: expected CIDR ranges|alias/i],
  ['a number for text', `${HEAD}nodeName: 5\n`, /config\.yaml:3: nodeName: expected text/],
  ['a huge number', `${HEAD}proxyPort: 99999999999999999999\n`, /proxyPort: expected a whole number/],
  ['a map for a flag', `${HEAD}masqueradeAll: {a: 1}\n`, /masqueradeAll: expected true or false/],
  ['yes for a flag', `${HEAD}masqueradeAll: yes\n`, /masqueradeAll: expected true or false/],
]

function aliases(): string {
  const lines = ['a0: &a0 [1, 1]']
  for (let i = 1; i < 30; i++) lines.push(`a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`)
  return `${HEAD}${lines.join('\n')}\n`
}

for (const [name, content, expected] of BROKEN)
  test(`a file that is ${name} is refused with its place`, async (t) => {
    const problems = await problemsOf(t, { flags: { config: await file(t, content) } })
    t.regex(problems.join('\n'), expected)
  })

test('a missing file is a problem, not a crash', async (t) => {
  t.regex((await problemsOf(t, { flags: { config: '/nonexistent/c.yaml' } })).join(), /cannot be read/)
})

const TOGETHER: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
  [{ manifests: '' }, 'manifests: a folder is needed: it is the source of all objects'],
  [{ minSyncPeriod: '1m' }, 'minSyncPeriod: must not be longer than syncPeriod'],
  [{ masqueradeBit: '13' }, 'masqueradeBit: bit 13 belongs to steering (mask 0xff3000)'],
  [
    { clusterCidr: '10.0.0.0/8,11.0.0.0/8' },
    'clusterCidr: has more than one IPv4 range; kube-proxy takes one of each family',
  ],
  [
    { detectLocalMode: 'BridgeInterface' },
    'bridgeInterface: detectLocalMode BridgeInterface needs the name of the bridge',
  ],
  [
    { detectLocalMode: 'InterfaceNamePrefix' },
    'interfaceNamePrefix: detectLocalMode InterfaceNamePrefix needs how the names begin',
  ],
  [{ nodeName: 'a b' }, 'nodeName: "a b" is no name of a node'],
  [{ fault: 'now' }, 'fault: expected after:STEP, before:STEP, or one of them with :N'],
]

for (const [flags, expected] of TOGETHER)
  test(`${JSON.stringify(flags)}: ${expected}`, async (t) => {
    t.deepEqual(await problemsOf(t, { flags }), [expected])
  })

for (const command of ['proxy', 'run'] as const)
  test(`${command} with a relay in the addon, and no addon`, async (t) => {
    t.deepEqual(await problemsOf(t, { command, flags: { relay: 'native', addon: 'none' } }), [
      'relay: native is done by the addon, and addon is none; leave one of them out',
    ])
  })

test('an unknown variable is a warning with a suggestion', async (t) => {
  const { warnings } = await load({ environment: { SHUNT_PROXYPORT: '1', PATH: '/bin' } })
  t.deepEqual(warnings.map(formatProblem), [
    'SHUNT_PROXYPORT: unknown variable; did you mean "SHUNT_PROXY_PORT"?',
  ])
})

test('a debugging command needs no manifests', async (t) => {
  await t.notThrowsAsync(loadConfiguration({ command: 'cli', flags: {}, environment: {}, hostname: 'h' }))
})
