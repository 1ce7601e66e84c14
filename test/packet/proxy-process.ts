// Runs the proxy as the process that it is, for tests in network namespaces: options as JSON in the first argument.

import { createLog } from '#agent/observe/log.ts'
import { runProxy } from '#agent/proxy/app.ts'
import type { ProxyOptions } from '#agent/proxy/options.ts'

const log = createLog({ level: 'info', format: 'json', process: 'proxy' })
try {
  process.exitCode = await runProxy(JSON.parse(process.argv[2] ?? '{}') as ProxyOptions, log)
} catch (error) {
  log.error({ error }, 'the proxy failed')
  process.exitCode = 1
}
