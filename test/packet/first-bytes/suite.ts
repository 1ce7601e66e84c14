// Connections that the proxy reads before it decides, or says something in front of: TLS by server name, PROXY headers
// from load balancers and to endpoints. The real command, real TLS on both ends, and an endpoint that shows every byte.
// Each engine is held to it.

import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import { hostPort, parseIp, type Ip } from '#agent/model/ip.ts'
import { readProxyHeader, writeProxyHeader } from '#agent/proxy/decision/proxy-protocol.ts'
import { addressesOf, nodeObjects, serviceObjects, writeManifest } from '../../conformance/objects.ts'
import type { Json, KubernetesObject, LabFamily } from '../../conformance/objects.ts'
import { createLab, type Lab } from '../../support/lab/lab.ts'
import { startPair, type Pair } from '../../support/lab/pair.ts'
import { shunt } from '../../support/lab/shunt.ts'
import { until } from '../../support/lab/wait.ts'
import type { ClientAnswer, ClientRequest } from './client.ts'
import type { PlainAnswer, ServerSpec } from './server.ts'

const CLIENT = fileURLToPath(new URL('./client.ts', import.meta.url))
const SERVER = fileURLToPath(new URL('./server.ts', import.meta.url))
const OPENSSL = '/usr/bin/openssl'
const FAMILIES: readonly LabFamily[] = ['IPv4', 'IPv6']

/** Numbers of the Services, from which their addresses follow. */
const SHOP = 10
const API = 11
const BY_NAME = 12
const TOLD = 13
const TRUSTING = 14
const RELAYING = 15
const GUARDED = 16

/** The load balancer of these tests. */
const TRUSTED = { place: 'p13', IPv4: '10.244.1.13', IPv6: 'fd00:244:1::13' }
const TRUE_CLIENT = { ip: ip('198.51.100.77'), port: 4242 }
const TRUE_DESTINATION = { ip: ip('203.0.113.9'), port: 443 }
const HEADER = Buffer.from(writeProxyHeader(TRUE_CLIENT, TRUE_DESTINATION)).toString('hex')
const LOCAL_HEADER = '0d0a0d0a000d0a515549540a20000000'

let lab: Lab
let pair: Pair

export function firstBytesSuite(relay: 'native' | 'stream'): void {
  test.before(async () => {
    lab = await createLab()
    const shop = await certificate('shop')
    const api = await certificate('api')
    await Promise.all([
      serve('p11', [{ port: 8443, tls: shop }, { port: 8080 }]),
      serve('p12', [{ port: 8443, tls: api }]),
    ])
    const folder = join(lab.folder, 'manifests')
    writeManifest(folder, 'nodes', nodeObjects(lab.topology))
    writeManifest(folder, 'shop', service('shop', SHOP, 443, 'p11:8443'))
    writeManifest(folder, 'api', service('api', API, 443, 'p12:8443'))
    writeManifest(folder, 'by-name', service('by-name', BY_NAME, 443))
    writeManifest(folder, 'told', service('told', TOLD, 80, 'p11:8080'))
    writeManifest(folder, 'trusting', service('trusting', TRUSTING, 80, 'p11:8080'))
    writeManifest(folder, 'relaying', service('relaying', RELAYING, 80, 'p11:8080'))
    writeManifest(folder, 'guarded', service('guarded', GUARDED, 443))
    const fromTrusted = [`${TRUSTED.IPv4}/32`, `${TRUSTED.IPv6}/128`]
    writeManifest(folder, 'policies', [
      policy('told', { toEndpoints: 'V2' }),
      policy('trusting', { acceptFrom: fromTrusted }),
      policy('relaying', { acceptFrom: fromTrusted, toEndpoints: 'V2' }),
      policy('guarded', { acceptFrom: fromTrusted }),
      tlsRoute('shop', ['by-name'], ['shop.example.org'], 'shop'),
      tlsRoute('api', ['by-name', 'guarded'], ['*.api.example.org'], 'api'),
    ])
    const agentFlags = ['--manifests', folder, '--cluster-cidr', '10.244.0.0/16,fd00:244::/32']
    pair = startPair(lab, 'node1', [], agentFlags, ['--relay', relay])
    await until(
      'the proxy takes connections',
      async () => (await plain('p12', TOLD, 'IPv4').catch(() => undefined))?.startsWith('0d0a0d0a') === true,
      { withinMs: 20_000, everyMs: 200, explain: pair.logs },
    )
  })

  test.after.always(async () => {
    await pair?.stop()
    await lab?.close()
  })

  for (const family of FAMILIES) {
    test.serial(
      `a server name leads to the Service of its TLSRoute over ${family}, encrypted to the end`,
      async (t) => {
        for (const [serverName, wanted] of [
          ['shop.example.org', 'shop'],
          ['SHOP.example.org', 'shop'],
          ['a.api.example.org', 'api'],
          ['b.c.api.example.org', 'api'],
        ] as const)
          for (const place of ['p13', 'p11', 'client'])
            t.like(
              await connect(place, { ...clusterIp(BY_NAME, family), port: 443, tls: { serverName } }),
              { kind: 'answered', certificate: wanted, text: 'hello over TLS\n' },
              `${serverName} from ${place}`,
            )
      },
    )

    test.serial(`an endpoint that wants to know hears the true client over ${family}`, async (t) => {
      const { to } = clusterIp(TOLD, family)
      const answer = await connect('p13', { to, port: 80 })
      const { hex, source } = plainAnswer(answer)
      const header = readProxyHeader(Buffer.from(hex, 'hex'))
      t.like(header, {
        kind: 'header',
        client: { ip: ip(TRUSTED[family]), port: answer.kind === 'answered' ? answer.port : 0 },
        destination: { ip: ip(to), port: 80 },
      })
      t.not(ip(source), ip(TRUSTED[family]), 'the connection itself is the proxy’s')
      if (header.kind === 'header') t.is(payload(hex, header.headerBytes), 'ping\n')
    })
  }

  test.serial('a client outside is told as it is, through a NodePort', async (t) => {
    const { nodePort } = addressesOf(TOLD)
    const { hex } = plainAnswer(await connect('client', { to: '192.168.100.1', port: nodePort }))
    t.like(readProxyHeader(Buffer.from(hex, 'hex')), {
      client: { ip: ip('192.168.100.9') },
      destination: { ip: ip('192.168.100.1'), port: nodePort },
    })
  })

  const CUTS: readonly (readonly [string, NonNullable<ClientRequest['tls']>['cut']])[] = [
    ['in segments of one byte', 'bytes'],
    ['in records of 100 bytes', { records: 100 }],
    ['in records of one byte', { records: 1 }],
  ]

  for (const [how, cut] of CUTS)
    test.serial(`a ClientHello that comes ${how} is waited for and passed on whole`, async (t) => {
      const tls = { serverName: 'a.api.example.org', ...(cut === undefined ? {} : { cut }) }
      const answer = await connect('p13', { ...clusterIp(BY_NAME, 'IPv4'), port: 443, tls })
      t.like(answer, { kind: 'answered', certificate: 'api', text: 'hello over TLS\n' })
    })

  const UNROUTED: readonly (readonly [string, Partial<ClientRequest>, string])[] = [
    [
      'with a name that no route has',
      { tls: { serverName: 'other.example.org' } },
      'server name other.example.org',
    ],
    ['without a server name', { tls: {} }, 'server name (none)'],
    ['that speaks no TLS', {}, 'no server name: it begins with the byte 0x70'],
  ]

  for (const [who, request, why] of UNROUTED)
    test.serial(`a client ${who} is reset, and the record says why`, async (t) => {
      const answer = await connect('p13', { ...clusterIp(BY_NAME, 'IPv4'), port: 443, ...request })
      t.deepEqual(answer, { kind: 'failed', code: 'ECONNRESET' })
      const last = await lastEnded(`${addressesOf(BY_NAME).clusterIp.IPv4}:443`)
      t.is(last.state, 'refused: no-route')
      t.true(last.why.includes(why), last.why)
    })

  for (const family of FAMILIES) {
    test.serial(`a header from a trusted source is believed and taken off over ${family}`, async (t) => {
      const { to } = clusterIp(TRUSTING, family)
      const { hex } = plainAnswer(await connect(TRUSTED.place, { to, port: 80, firstHex: HEADER }))
      t.is(payload(hex, 0), 'ping\n')
      const last = await lastEnded(hostPort(ip(to), 80))
      t.is(last.client, hostPort(TRUE_CLIENT.ip, TRUE_CLIENT.port))
      t.regex(last.peer ?? '', new RegExp(TRUSTED[family].replaceAll('.', String.raw`\.`)))
    })

    test.serial(`and told on to an endpoint that wants to know, over ${family}`, async (t) => {
      const { to } = clusterIp(RELAYING, family)
      const { hex } = plainAnswer(await connect(TRUSTED.place, { to, port: 80, firstHex: HEADER }))
      const header = readProxyHeader(Buffer.from(hex, 'hex'))
      t.like(header, { kind: 'header', client: TRUE_CLIENT })
      if (header.kind === 'header') t.is(payload(hex, header.headerBytes), 'ping\n')
    })
  }

  test.serial('a trusted source that speaks for itself is its own client', async (t) => {
    const { to } = clusterIp(RELAYING, 'IPv4')
    const { hex } = plainAnswer(await connect(TRUSTED.place, { to, port: 80, firstHex: LOCAL_HEADER }))
    const header = readProxyHeader(Buffer.from(hex, 'hex'))
    t.like(header, { kind: 'header', client: { ip: ip(TRUSTED.IPv4) } })
  })

  test.serial('a header from anybody else is nothing but bytes for the endpoint', async (t) => {
    const { to } = clusterIp(TRUSTING, 'IPv4')
    const { hex } = plainAnswer(await connect('p12', { to, port: 80, firstHex: HEADER }))
    t.is(hex, `${HEADER}${Buffer.from('ping\n').toString('hex')}`)
    t.regex((await lastEnded(hostPort(ip(to), 80))).client, /^10\.244\.1\.12:/)
  })

  const WITHOUT_HEADER: readonly (readonly [string, string, string])[] = [
    ['without one', '', 'it does not begin with a PROXY header'],
    ['with one of version 1', toHex('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'), 'of version 1 (text)'],
  ]

  for (const [how, firstHex, why] of WITHOUT_HEADER)
    test.serial(`a connection of a trusted source ${how} is reset, and the record says why`, async (t) => {
      const { to } = clusterIp(TRUSTING, 'IPv4')
      const answer = await connect(TRUSTED.place, { to, port: 80, firstHex })
      t.deepEqual(answer, { kind: 'failed', code: 'ECONNRESET' })
      const last = await lastEnded(hostPort(ip(to), 80))
      t.is(last.state, 'refused: no-proxy-header')
      t.true(last.why.includes(why), last.why)
    })

  test.serial(
    'a header and a ClientHello behind it are both read, and the server gets the hello alone',
    async (t) => {
      const { to } = clusterIp(GUARDED, 'IPv4')
      const tls = { serverName: 'x.api.example.org' }
      for (const cut of [undefined, 'bytes'] as const) {
        const request = {
          to,
          port: 443,
          firstHex: HEADER,
          tls: { ...tls, ...(cut === undefined ? {} : { cut }) },
        }
        const answer = await connect(TRUSTED.place, request)
        t.like(answer, { kind: 'answered', certificate: 'api', text: 'hello over TLS\n' })
        t.is((await lastEnded(`${to}:443`)).client, hostPort(TRUE_CLIENT.ip, TRUE_CLIENT.port))
      }
    },
  )
}

interface EndedRow {
  readonly client: string
  readonly peer: string | null
  readonly originalDestination: string
  readonly state: string
  readonly why: string
}

/** The newest record of a connection to a destination, once it is there. */
async function lastEnded(destination: string): Promise<EndedRow> {
  let found: EndedRow | undefined
  await until(
    `a connection to ${destination} has ended`,
    async () => {
      const ran = await shunt(lab, 'node1', 'connections', '--ended', '-o', 'json')
      const rows = JSON.parse(ran.stdout) as readonly (EndedRow & { readonly decidedBy: string })[]
      // Newest first; one that is closing is not ended yet.
      const ours = rows.filter((row) => row.decidedBy === 'proxy' && row.originalDestination === destination)
      found = ours.find(({ state }) => state !== 'relaying')
      return found !== undefined && !ours.some(({ state }) => state === 'relaying')
    },
    { explain: pair.logs },
  )
  if (found === undefined) throw new Error(`no record of ${destination}`)
  return found
}

async function connect(place: string, request: ClientRequest): Promise<ClientAnswer> {
  const ran = await lab.exec(place, [process.execPath, CLIENT, JSON.stringify(request)])
  return JSON.parse(ran.stdout) as ClientAnswer
}

async function plain(place: string, number: number, family: LabFamily): Promise<string> {
  return plainAnswer(await connect(place, { ...clusterIp(number, family), port: 80 })).hex
}

function plainAnswer(answer: ClientAnswer): PlainAnswer {
  if (answer.kind === 'failed') throw new Error(`the client failed with ${answer.code}\n${pair.logs()}`)
  return JSON.parse(answer.text) as PlainAnswer
}

function clusterIp(number: number, family: LabFamily): { readonly to: string } {
  return { to: addressesOf(number).clusterIp[family] }
}

function payload(hex: string, skipBytes: number): string {
  return Buffer.from(hex, 'hex').subarray(skipBytes).toString('latin1')
}

async function serve(place: string, servers: readonly ServerSpec[]): Promise<void> {
  const child = lab.spawn(place, [process.execPath, SERVER, JSON.stringify(servers)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', (code) => reject(new Error(`the servers of ${place} ended with ${code}`)))
  })
}

async function certificate(name: string): Promise<NonNullable<ServerSpec['tls']>> {
  if (!existsSync(OPENSSL)) throw new Error(`${OPENSSL} is missing: run npm run setup`)
  const key = join(lab.folder, `${name}.key`)
  const cert = join(lab.folder, `${name}.crt`)
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const args = ['req', '-x509', ...kind, '-days', '2', '-subj', `/CN=${name}`, '-keyout', key, '-out', cert]
  await promisify(execFile)(OPENSSL, args)
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
}

/** `endpoint`: `pod:port`; without, it has none. */
function service(name: string, number: number, port: number, endpoint = ''): readonly KubernetesObject[] {
  const [pod = '', endpointPort = '1'] = endpoint.split(':')
  const ports = [{ name: 'p', protocol: 'TCP' as const, port, endpointPort: Number(endpointPort) }]
  return serviceObjects({ name, number, endpoints: pod === '' ? [] : [{ pod }], ports }, lab.topology)
}

function policy(name: string, proxyProtocol: { readonly [key: string]: Json }): KubernetesObject {
  return {
    apiVersion: 'shunt.dev/v1alpha1',
    kind: 'TrafficPolicy',
    metadata: { name, namespace: 'default' },
    spec: { targetRefs: [{ kind: 'Service', name }], proxyProtocol },
  }
}

function tlsRoute(
  name: string,
  parents: readonly string[],
  hostnames: readonly string[],
  backend: string,
): KubernetesObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1alpha2',
    kind: 'TLSRoute',
    metadata: { name, namespace: 'default' },
    spec: {
      parentRefs: parents.map((parent) => ({ group: '', kind: 'Service', name: parent, port: 443 })),
      hostnames,
      rules: [{ backendRefs: [{ name: backend, port: 443 }] }],
    },
  }
}

function ip(text: string): Ip {
  const parsed = parseIp(text)
  if (parsed === undefined) throw new Error(`${text} is not an address`)
  return parsed
}

function toHex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex')
}
