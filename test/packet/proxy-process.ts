// Runs the proxy as the process that it is, for tests in network namespaces: options as JSON in the first argument. A line
// `stall 0 5000` or `die 0` on stdin is what a defect would do to the thread of that worker.

import { createInterface } from 'node:readline'
import type { NativeRelay } from '#agent/kernel/native-relay.ts'
import { loadNative, type NativeLoad } from '#agent/kernel/native.ts'
import { createLog } from '#agent/observe/log.ts'
import { runProxy } from '#agent/proxy/app.ts'
import type { ProxyOptions } from '#agent/proxy/options.ts'

const log = createLog({ level: 'info', format: 'json', process: 'proxy' })
/** In the order in which they were started; the first is one that is tried and ended. */
const relays: NativeRelay[] = []

createInterface({ input: process.stdin }).on('line', (line) => {
  const [kind, worker, durationMs = '0'] = line.split(' ')
  if (kind === 'stall' || kind === 'die') relays[Number(worker) + 1]?.fault(kind, Number(durationMs))
})
process.stdin.unref()

try {
  process.exitCode = await runProxy(
    JSON.parse(process.argv[2] ?? '{}') as ProxyOptions,
    log,
    recorded(loadNative()),
  )
} catch (error) {
  log.error({ error }, 'the proxy failed')
  process.exitCode = 1
}
// Otherwise it would wait for more of them.
process.stdin.destroy()

function recorded(load: NativeLoad): NativeLoad {
  if (load.kind === 'absent') return load
  const { native } = load
  return {
    kind: 'loaded',
    native: {
      ...native,
      relay(options) {
        const relay = native.relay(options)
        relays.push(relay)
        return relay
      },
    },
  }
}
