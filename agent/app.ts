// The composition root of the agent: constructs every adapter, wires source, plan, datapath, steering and servers, and
// runs until a signal. The rules stay in the kernel when it ends, however it ends.

import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { availableParallelism, networkInterfaces } from 'node:os'
import { ManifestsSource } from './cluster/manifests-source.ts'
import type { Source } from './cluster/source.ts'
import { faultHook, faultHookOfBeginnings, parseFault } from './config/fault.ts'
import { kernelSettings } from './config/kernel-settings.ts'
import type { LoadedConfiguration } from './config/load.ts'
import type { Configuration } from './config/options.ts'
import { pathsOf, type Paths } from './config/paths.ts'
import { planOptionsOf } from './config/plan-options.ts'
import { VERSION } from './config/version.ts'
import { createIptablesDatapath } from './datapath/iptables/datapath.ts'
import type { Datapath } from './datapath/datapath.ts'
import { chooseDatapath, registry } from './datapath/registry.ts'
import { kernelSteering } from './datapath/steer/kernel-steering.ts'
import { programSteering } from './datapath/steer/program-steering.ts'
import { selfTest } from './datapath/steer/self-test.ts'
import type { SteeringKernel } from './datapath/steer/steering.ts'
import { systemClock as clock } from './kernel/clock.ts'
import { createCommandRunner } from './kernel/command.ts'
import { hasFamily } from './kernel/families.ts'
import { preferSmallHeap } from './kernel/heap.ts'
import { openHeartbeat, type Heartbeat } from './kernel/heartbeat.ts'
import { loadNative } from './kernel/native.ts'
import { openProgramHeartbeat } from './kernel/program-heartbeat.ts'
import { resolveProgram } from './kernel/programs.ts'
import { takeRunLock } from './kernel/run-lock.ts'
import { applySysctls, readSysctl } from './kernel/sysctl.ts'
import { equal } from './model/equal.ts'
import { formatProblem } from './model/errors.ts'
import { hostPort } from './model/ip.ts'
import type { Log } from './model/log.ts'
import { adminRoutes } from './observe/admin.ts'
import { healthzRoutes, listenWithRetry, metricsRoutes, type RetriedServer } from './observe/health.ts'
import { serveHttp } from './observe/http-json.ts'
import { createMetrics, type MetricsRegistry } from './observe/metrics.ts'
import { answers, claimSocketPath, ownSocket } from './observe/unix-socket.ts'
import type { PlanOptions } from './plan/plan.ts'
import { checkView } from './proxy/decision/view-check.ts'
import { reportHealth, reportStatus, type ReportParts } from './sync/agent-report.ts'
import { baseView } from './sync/base-view.ts'
import { hostNode, withHostNode } from './sync/host-node.ts'
import { planJson, snapshotJson } from './sync/plan-json.ts'
import { diffView, publishView } from './sync/publish.ts'
import { createReconciler, type Reconciler } from './sync/reconciler.ts'
import { countProblems } from './sync/status.ts'
import { candidatesOf, provenProxy, testableFamilies } from './sync/steering-facts.ts'
import { createSteeringRunner, type SteeringRunner } from './sync/steering-runner.ts'
import { createViewPublisher } from './sync/view-publisher.ts'
import { createViewServer, type ViewServer } from './sync/view-server.ts'

/** A failed sync is tried again after this, or after the sync period if that is shorter. */
const RETRY_MS = 5_000
/** How long an ending agent waits for a commit under way. */
const STOP_GRACE_MS = 10_000
/** How long a starting agent lets a proxy that is running connect, before it changes anything. */
const PROXY_WAIT_MS = 2_000
const SELFTEST_TIMEOUT_MS = 1_000

/** Everything of a running agent that its servers ask. */
interface Running {
  readonly configuration: Configuration
  readonly paths: Paths
  readonly source: Source
  readonly datapath: Datapath
  readonly steering: SteeringRunner
  readonly reconciler: Reconciler
  readonly views: ViewServer
  readonly metrics: MetricsRegistry
  readonly report: ReportParts
  readonly health: RetriedServer[]
}

/**
 * Runs until SIGTERM or SIGINT; resolves with the exit code. Throws ALREADY_RUNNING, DATAPATH_UNUSABLE, ADDRESS_IN_USE
 * or NOT_PERMITTED at start; later errors are logged, counted and survived.
 */
export async function runAgent({ configuration, warnings }: LoadedConfiguration, log: Log): Promise<number> {
  preferSmallHeap()
  await using open = new AsyncDisposableStack()
  const paths = pathsOf(configuration.runDir)
  for (const warning of warnings) log.warn({}, formatProblem(warning))
  await mkdir(paths.runDir, { recursive: true, mode: 0o755 })
  const lock = await takeRunLock('agent', paths.runDir)
  open.defer(() => lock.release())
  await claimSocketPath(paths.agentSocket)

  const running = await construct(configuration, paths, log, open)
  const survive = (error: unknown): void => log.error({ error }, 'a bug was met; the agent goes on')
  process.on('uncaughtException', survive)
  open.defer(() => void process.off('uncaughtException', survive))

  const admin = await serveHttp({ kind: 'unix', path: paths.agentSocket }, adminOf(running), log)
  open.defer(() => admin.close())
  await serveHealth(running, log, open)
  await start(running, log)
  log.info({ version: VERSION, pid: process.pid, runDir: paths.runDir }, 'the agent is running')

  const signal = await firstSignal()
  log.info({ signal }, 'asked to stop; the rules stay in place')
  running.source.stop()
  running.steering.stop()
  await running.reconciler.stop(STOP_GRACE_MS)
  return 0
}

async function construct(
  configuration: Configuration,
  paths: Paths,
  log: Log,
  open: AsyncDisposableStack,
): Promise<Running> {
  const metrics = createMetrics({ onMisuse: (message) => log.error({}, message) })
  // Runner and reconciler know each other: the mechanism is an option of the plan, the committed plan one of the runner.
  const later: { views?: ViewServer; steering?: SteeringRunner; reconciler?: Reconciler } = {}
  const fault = parseFault(configuration.fault)
  const strike = (): void => {
    const victims = fault?.victim === 'proxy' ? (later.views?.proxies() ?? []) : [process]
    for (const { pid } of victims) process.kill(pid, 'SIGKILL')
  }
  const kernel = steeringKernel(configuration, paths, log)
  const chosen = await chooseDatapath(
    registry({
      iptables: () =>
        Promise.resolve(
          createIptablesDatapath({
            runner: createCommandRunner(),
            steering: kernel,
            clock,
            log: log.child({ component: 'iptables' }),
            variant: configuration.iptablesVariant,
            settings: {
              masqueradeMark: 2 ** configuration.masqueradeBit,
              dropInvalid: (readSysctl('net.netfilter.nf_conntrack_tcp_be_liberal') ?? '0') === '0',
            },
            onRestoreFailure: (ip_family) =>
              metrics.add('kubeproxy_sync_proxy_rules_iptables_restore_failures_total', { ip_family }),
            onStep: faultHookOfBeginnings(fault, strike),
          }),
        ),
    }),
    configuration.datapath,
  )
  log.info({ datapath: chosen.datapath.name, ...chosen.capability }, 'the datapath is chosen')
  const setbacks = applySysctls(
    kernelSettings(configuration, { cores: availableParallelism(), semantics: chosen.semantics }),
    log.child({ component: 'sysctl' }),
  )
  const families = chosen.capability.families.filter(hasFamily)

  const source = new ManifestsSource({
    dir: configuration.manifests,
    nodeName: configuration.nodeName,
    clock,
    log: log.child({ component: 'source' }),
  })
  const views = viewServer(configuration, paths, metrics, log, withdrawal(configuration, open))
  later.views = views
  await views.listen()
  open.defer(() => views.close())

  const host = keptWhileEqual(() => hostNode(configuration.nodeName, networkInterfaces()))
  const optionsNow = keptWhileEqual((): PlanOptions =>
    planOptionsOf(configuration, {
      semantics: chosen.semantics,
      families,
      mechanism: later.steering?.mechanism() ?? 'off',
    }),
  )
  const epoch = randomUUID()
  const publisher = createViewPublisher({
    server: views,
    viewOf: (plan) => publishView(plan, { epoch }),
    base: await baseView(paths.lastView, checkView, log),
    clock,
    log: log.child({ component: 'views' }),
  })
  open.defer(() => publisher.stop())
  const reconciler = createReconciler({
    source,
    complete: (snapshot) => (snapshot.node === undefined ? withHostNode(snapshot, host()) : snapshot),
    planOptions: optionsNow,
    datapath: chosen.datapath,
    views: publisher,
    clock,
    log: log.child({ component: 'sync' }),
    metrics,
    intervals: {
      minMs: configuration.minSyncPeriod,
      maxMs: configuration.syncPeriod,
      retryMs: Math.min(RETRY_MS, configuration.syncPeriod),
    },
    onStep: faultHook(fault, 'after', strike),
  })
  later.reconciler = reconciler
  const steering = await createSteeringRunner({
    option: configuration.steeringMechanism,
    probe: async () => candidatesOf(await chosen.datapath.probeSteering(), await kernel.probe()),
    test: (family) => selfTest(family, { timeoutMs: SELFTEST_TIMEOUT_MS }),
    families: () => testableFamilies(reconciler.plan()),
    proxy: () => provenProxy(views.proxies()),
    committed: () => reconciler.plan()?.options.steering.mechanism,
    onChange: () => reconciler.request(),
    clock,
    log: log.child({ component: 'steering' }),
    metrics,
  })
  later.steering = steering
  const health: RetriedServer[] = []
  const report: ReportParts = {
    version: VERSION,
    pid: process.pid,
    startedAtMs: clock.wallMs(),
    syncPeriodMs: configuration.syncPeriod,
    place: configuration.manifests,
    datapath: {
      name: chosen.datapath.name,
      detail: chosen.capability.detail,
      families,
      passedOver: chosen.passedOver,
    },
    source,
    reconciler,
    views,
    steering,
    hostNode: host,
    setbacks: () => [...setbacks, ...health.flatMap((server) => server.problem() ?? [])],
  }
  const { datapath } = chosen
  return { configuration, paths, source, datapath, steering, reconciler, views, metrics, report, health }
}

/** Begins to watch; the first sync follows when everything was read and a proxy that runs already has connected. */
async function start(running: Running, log: Log): Promise<void> {
  const { source, reconciler, views, steering, metrics, paths } = running
  let released = false
  views.onChange(() => steering.proxiesChanged())
  source.onChange(() => {
    const { errors, warnings } = countProblems(source.problems())
    metrics.set('shunt_source_problems', errors, { severity: 'error' })
    metrics.set('shunt_source_problems', warnings, { severity: 'warning' })
    if (released) reconciler.request()
  })
  await source.start()
  for (const problem of source.problems()) log.warn({ code: problem.code }, formatProblem(problem))
  // The rules of the last agent are in force, and its proxy may be too: with its hello in hand nothing flaps.
  if (await answers(paths.proxySocket)) await firstProxy(views)
  released = true
  reconciler.request()
}

function firstProxy(views: ViewServer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const cancel = clock.after(PROXY_WAIT_MS, resolve)
  const look = (): void => {
    if (views.proxies().length === 0) return
    cancel()
    resolve()
  }
  views.onChange(look)
  look()
  return promise
}

function steeringKernel({ addon }: Configuration, { pinDir }: Paths, log: Log): SteeringKernel {
  const loaded = loadNative(addon)
  if (loaded.kind === 'loaded') return kernelSteering(loaded.native, { pinDir })
  log.warn({ because: loaded.because }, 'without the native addon DNAT alone can steer')
  return programSteering(createCommandRunner(), { pinDir, because: loaded.because })
}

/**
 * Takes the heartbeat of a proxy back that is known to be gone. It would end by itself within a second; until then
 * connections of the node's own processes, which no rule can hold to a listener, are refused.
 */
function withdrawal({ addon }: Configuration, open: AsyncDisposableStack): () => void {
  const heartbeat = anyHeartbeat(addon)
  if (heartbeat === undefined) return () => {}
  open.defer(() => heartbeat.close())
  return () => heartbeat.withdraw()
}

function anyHeartbeat(addon: string): Heartbeat | undefined {
  const loaded = loadNative(addon)
  if (loaded.kind === 'loaded') return openHeartbeat(loaded.native)
  return resolveProgram('ipset') === undefined ? undefined : openProgramHeartbeat()
}

function viewServer(
  { proxyUid }: Configuration,
  { viewSocket }: Paths,
  metrics: MetricsRegistry,
  log: Log,
  onLastGone: () => void,
): ViewServer {
  return createViewServer({
    onLastGone,
    path: viewSocket,
    claim: () => claimSocketPath(viewSocket),
    own: () => ownSocket(viewSocket, proxyUid === 0 ? { mode: 0o600 } : { mode: 0o660, gid: proxyUid }),
    diff: diffView,
    clock,
    log: log.child({ component: 'views' }),
    metrics,
  })
}

/** Calls again each time, but answers the same object as long as the content is equal. */
function keptWhileEqual<T>(make: () => T): () => T {
  let kept: T | undefined
  return () => {
    const made = make()
    if (kept === undefined || !equal(kept, made)) kept = made
    return kept
  }
}

function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
}

async function serveHealth(running: Running, log: Log, open: AsyncDisposableStack): Promise<void> {
  const { configuration, metrics, report, health } = running
  const healthz = healthzRoutes(() => reportHealth(report), clock, metrics)
  const local = metricsRoutes({ metrics: () => metrics.text(), mode: () => running.datapath.name })
  for (const [what, address, routes] of [
    ['health', configuration.healthzAddress, healthz],
    ['metrics', configuration.metricsAddress, local],
  ] as const) {
    if (address === undefined) continue
    const server = await listenWithRetry(
      `${what} at ${hostPort(address.host, address.port)}`,
      address,
      routes,
      clock,
      log,
    )
    health.push(server)
    open.defer(() => server.close())
  }
}

function adminOf(running: Running) {
  const { reconciler, source, metrics, configuration, datapath, report } = running
  return adminRoutes({
    status: () => reportStatus(report, clock.wallMs()),
    plan: () => mapped(reconciler.plan(), planJson),
    snapshot: () => mapped(reconciler.snapshot(), snapshotJson),
    configuration: () => configuration,
    problems: () => source.problems(),
    drift: () => {
      const { driftRepairs, lastDrift } = reconciler.state()
      return { driftRepairs, lastDrift }
    },
    rules: () =>
      mapped(reconciler.plan(), (plan) => datapath.change(undefined, datapath.render(plan)).toString()),
    metrics: () => metrics.text(),
    resync: () => reconciler.resync(),
  })
}

function mapped<T, U>(value: T | undefined, map: (value: T) => U): U | undefined {
  return value === undefined ? undefined : map(value)
}
