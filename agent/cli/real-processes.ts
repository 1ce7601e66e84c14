// The long-running commands as they really start. Each loads its own program alone: what the agent knows of manifests and
// rules would be megabytes in a proxy that has no use for it.

import { fileURLToPath } from 'node:url'
import { argumentsFor } from '../config/arguments.ts'
import { loadConfiguration, type LoadedConfiguration } from '../config/load.ts'
import { pathsOf } from '../config/paths.ts'
import { VERSION } from '../config/version.ts'
import { systemClock } from '../kernel/clock.ts'
import { loadNative } from '../kernel/native.ts'
import type { Log } from '../model/log.ts'
import { createLog } from '../observe/log.ts'
import { endWithParent, runSupervisor, tellTookOver } from '../supervisor.ts'
import { EXIT, type ExitCode } from './exit.ts'

type Flags = Readonly<Record<string, unknown>>

const PROGRAM = fileURLToPath(new URL('../main.ts', import.meta.url))

export async function startAgent(flags: Flags): Promise<ExitCode> {
  const loaded = await loadConfiguration({ command: 'agent', flags })
  endWithParent()
  const { runAgent } = await import('../app.ts')
  return ended(await runAgent(loaded, logOf('agent', loaded)))
}

export async function startProxy(flags: Flags): Promise<ExitCode> {
  const loaded = await loadConfiguration({ command: 'proxy', flags })
  const {
    runDir,
    proxyPort,
    proxyUid,
    proxyMetricsAddress: metrics,
    proxyWorkers,
    relay,
    addon,
    accessLog,
    endpointMetrics,
    handover,
    handoverDrain,
  } = loaded.configuration
  endWithParent()
  const { runProxy } = await import('../proxy/app.ts')
  const code = await runProxy(
    {
      paths: pathsOf(runDir),
      version: VERSION,
      port: proxyPort,
      uid: proxyUid,
      gid: proxyUid,
      metricsAddress: metrics === undefined ? undefined : { ip: metrics.host, port: metrics.port },
      ...(accessLog.kind === 'off' ? {} : { accessLog }),
      endpointMetrics,
      maxConnections: 0,
      workers: proxyWorkers,
      relay,
      handover,
      handoverDrainMs: handoverDrain,
    },
    logOf('proxy', loaded),
    loadNative(addon),
    tellTookOver,
  )
  return ended(code)
}

/** What is wrong with the options is said here, once, and not by each child again and again. */
export async function startRun(flags: Flags): Promise<ExitCode> {
  const loaded = await loadConfiguration({ command: 'run', flags })
  const code = await runSupervisor({
    program: PROGRAM,
    children: [
      { name: 'agent', args: argumentsFor('agent', flags) },
      { name: 'proxy', args: argumentsFor('proxy', flags) },
    ],
    atTerminal: process.stdin.isTTY,
    clock: systemClock,
    log: logOf('supervisor', loaded),
  })
  return ended(code)
}

function logOf(process: string, { configuration }: LoadedConfiguration): Log {
  return createLog({ level: configuration.logLevel, format: configuration.logFormat, process })
}

function ended(code: number): ExitCode {
  return code === 0 ? EXIT.ok : EXIT.failed
}
