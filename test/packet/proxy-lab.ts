// A node in one network namespace: steered addresses and endpoints are local to it, the heartbeat's sets exist, and an
// agent is played by the test. The proxy is the real process, started as root.

import type { ExecutionContext } from 'ava'
import { spawn, type ChildProcess } from 'node:child_process'
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { pathsOf } from '#agent/config/paths.ts'
import { loadNative } from '#agent/kernel/native.ts'
import { removePinFolder } from '#agent/kernel/bpffs.ts'
import { encodeSteerKey, withSteerMaps } from '#agent/kernel/steer-maps.ts'
import type { Ip } from '#agent/model/ip.ts'
import { PROXY_PORT, PROXY_UID } from '#agent/model/steering-names.ts'
import type { ProxyConnections, ProxyStatus } from '#agent/proxy/admin-shapes.ts'
import type { ProxyView } from '#agent/proxy/decision/view.ts'
import type { ProxyOptions } from '#agent/proxy/options.ts'
import { testNamespace, type TestNamespace } from '../support/netns-runner.ts'
import type { PeerAnswer, PeerCommand } from './proxy-peer.ts'

const SETS = [
  'create SHUNT-STEER-4 hash:ip,port',
  'create SHUNT-STEER-6 hash:ip,port family inet6',
  'create SHUNT-STEER-NP bitmap:port range 0-65535',
  'create SHUNT-LIVE list:set timeout 1',
  'create SHUNT-LIVE-NP list:set timeout 1',
]

export class ProxyLab {
  readonly namespace: TestNamespace
  readonly #paths: ReturnType<typeof pathsOf>
  readonly #children: ChildProcess[] = []
  #agent: Server | undefined
  readonly #agentSockets = new Set<Socket>()
  readonly #peer: { readonly ask: (command: PeerCommand) => Promise<PeerAnswer> }

  static async start(t: ExecutionContext): Promise<ProxyLab> {
    const namespace = await testNamespace()
    const runDir = await mkdtemp(join(tmpdir(), 'shunt-proxy-'))
    // The proxy's user has to come through.
    await chmod(runDir, 0o755)
    const lab = new ProxyLab(namespace, runDir)
    t.teardown(async () => {
      await lab.#close()
      await rm(runDir, { recursive: true, force: true })
      await namespace.close()
    })
    // Addresses of Services and endpoints are the node's, so that no rules are needed to bring packets here.
    for (const address of ['10.96.0.0/24', '169.254.53.90/32'])
      await namespace.exec('ip', 'route', 'add', 'local', address, 'dev', 'lo')
    await namespace.exec('ip', '-6', 'route', 'add', 'local', 'fd00:96::/64', 'dev', 'lo')
    for (const address of ['10.244.1.2/32', '10.244.1.3/32', '192.168.0.10/32'])
      await namespace.exec('ip', 'address', 'add', address, 'dev', 'lo')
    await namespace.exec('ip', '-6', 'address', 'add', 'fd00:244::2/128', 'dev', 'lo', 'nodad')
    for (const line of SETS) await namespace.exec('ipset', ...line.split(' '))
    return lab
  }

  private constructor(namespace: TestNamespace, runDir: string) {
    this.namespace = namespace
    this.#paths = pathsOf(runDir)
    this.#peer = this.#startPeer()
  }

  /** A command of the peer process, which lives in the namespace. */
  ask(command: PeerCommand): Promise<PeerAnswer> {
    return this.#peer.ask(command)
  }

  /** Sends one view to each proxy that says hello. */
  async startAgent(view: ProxyView): Promise<void> {
    this.#agent = createServer((socket) => {
      this.#agentSockets.add(socket)
      socket.on('error', () => {})
      socket.once('data', () => socket.write(`${JSON.stringify({ kind: 'snapshot', view })}\n`))
    })
    await rm(this.#paths.viewSocket, { force: true })
    await new Promise<void>((resolve) => this.#agent?.listen(this.#paths.viewSocket, resolve))
    await chown(this.#paths.viewSocket, 0, PROXY_UID)
    await chmod(this.#paths.viewSocket, 0o660)
  }

  async stopAgent(): Promise<void> {
    for (const socket of this.#agentSockets) socket.destroy()
    await new Promise<void>((resolve) => {
      if (this.#agent === undefined) resolve()
      else this.#agent.close(() => resolve())
    })
    this.#agent = undefined
  }

  /** `descriptors`: how many files the process may have open. */
  startProxy(
    options: Partial<ProxyOptions> = {},
    limits: { readonly descriptors: number } = { descriptors: 20_000 },
  ): ProxyProcess {
    const all: ProxyOptions = {
      paths: this.#paths,
      version: 'test',
      port: PROXY_PORT,
      uid: PROXY_UID,
      gid: PROXY_UID,
      metricsAddress: undefined,
      maxConnections: 0,
      drainMs: 5_000,
      ...options,
    }
    return new ProxyProcess(
      this.#spawn('proxy-process.ts', limits.descriptors, JSON.stringify(all)),
      this.#paths.proxySocket,
    )
  }

  /** Gives a destination to the sk_lookup program, as the agent does; the proxy must have made the maps. */
  steer(...keys: readonly { readonly ip: string | undefined; readonly port: number }[]): void {
    const loaded = loadNative()
    if (loaded.kind === 'absent') throw new Error(loaded.because)
    withSteerMaps(loaded.native, this.#paths.pinDir, (maps) => {
      for (const { ip, port } of keys) {
        const key = encodeSteerKey({ ip: ip as Ip | undefined, port })
        loaded.native.bpf.mapUpdate(maps.frontends, key, Uint8Array.of(1))
      }
    })
  }

  /** Names of the sets for which the heartbeat is valid now. */
  async liveSets(): Promise<readonly string[]> {
    const lists = await this.namespace.exec('ipset', 'save')
    return [...lists.matchAll(/^add SHUNT-LIVE(?:-NP)? (\S+)/gm)].map((match) => match[1] ?? '').toSorted()
  }

  #spawn(script: string, descriptors: number, ...args: readonly string[]): ChildProcess {
    const path = fileURLToPath(new URL(script, import.meta.url))
    const child = spawn(
      '/usr/bin/nsenter',
      [
        `--net=/run/netns/${this.namespace.name}`,
        '/usr/bin/prlimit',
        `--nofile=${descriptors}:${descriptors}`,
        process.execPath,
        path,
        ...args,
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    this.#children.push(child)
    return child
  }

  #startPeer(): { readonly ask: (command: PeerCommand) => Promise<PeerAnswer> } {
    const child = this.#spawn('proxy-peer.ts', 20_000)
    const waiting: ((answer: PeerAnswer) => void)[] = []
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) =>
        waiting.shift()?.(JSON.parse(line) as PeerAnswer),
      )
    return {
      ask: (command) =>
        new Promise((resolve) => {
          waiting.push(resolve)
          child.stdin?.write(`${JSON.stringify(command)}\n`)
        }),
    }
  }

  async #close(): Promise<void> {
    await this.stopAgent()
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
    const loaded = loadNative()
    if (loaded.kind === 'loaded') removePinFolder(loaded.native.bpf, this.#paths.pinDir)
  }
}

export class ProxyProcess {
  readonly exited: Promise<number>
  readonly #child: ChildProcess
  readonly #socketPath: string
  #log = ''

  constructor(child: ChildProcess, socketPath: string) {
    this.#child = child
    this.#socketPath = socketPath
    this.exited = new Promise((resolve) => child.once('exit', (code) => resolve(code ?? -1)))
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#log += chunk.toString()
    })
  }

  get log(): string {
    return this.#log
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** What a defect would do to the thread of a worker. */
  fault(what: `stall ${number} ${number}` | `die ${number}`): void {
    this.#child.stdin?.write(`${what}\n`)
  }

  status(): Promise<ProxyStatus> {
    return this.#get('/status') as Promise<ProxyStatus>
  }

  connections(): Promise<ProxyConnections> {
    return this.#get('/connections') as Promise<ProxyConnections>
  }

  metrics(): Promise<string> {
    return this.#text('/metrics')
  }

  /** Polls the status until it is as wanted. */
  async until(what: string, wanted: (status: ProxyStatus) => boolean): Promise<ProxyStatus> {
    for (let i = 0; i < 200; i++) {
      const status = await this.status().catch(() => undefined)
      if (status !== undefined && wanted(status)) return status
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`the proxy never was ${what}; its log:\n${this.#log}`)
  }

  async #get(path: string): Promise<unknown> {
    return JSON.parse(await this.#text(path)) as unknown
  }

  #text(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: this.#socketPath, path, agent: false }, (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString()
        })
        response.on('end', () => resolve(body))
      })
      sent.on('error', reject)
      sent.end()
    })
  }
}
