// Gives up root and says what is left; see privileges.test.ts.

import { readFileSync, readdirSync } from 'node:fs'

import { openHeartbeat } from '#agent/kernel/heartbeat.ts'
import { loadNative } from '#agent/kernel/native.ts'
import { messageOf } from '#agent/model/errors.ts'
import type { Ip } from '#agent/model/ip.ts'

const load = loadNative()
if (load.kind === 'absent') throw new Error(load.because)
const { native } = load
const heartbeat = openHeartbeat(native)
native.dropPrivileges({ uid: 15001, gid: 15001, keepCapabilities: ['NET_ADMIN', 'NET_BIND_SERVICE'] })

const status = (tid: string): string => readFileSync(`/proc/self/task/${tid}/status`, 'utf8')
const field = (text: string, name: string): string =>
  new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(text)?.[1] ?? ''
const threads = readdirSync('/proc/self/task').map(status)
const own = status(String(process.pid))

const connector = native.connector()
const connected = await connector.connect({ ip: '127.0.0.1' as Ip, port: 1, mark: 0x531000 }).result
connector.close()
const attempt = (act: () => unknown): string => {
  try {
    act()
    return 'allowed'
  } catch (error) {
    return messageOf(error)
  }
}

process.stdout.write(
  JSON.stringify({
    uids: [...new Set(threads.map((text) => field(text, 'Uid')))],
    gids: [...new Set(threads.map((text) => field(text, 'Gid')))],
    groups: field(own, 'Groups'),
    effective: field(own, 'CapEff'),
    inheritable: field(own, 'CapInh'),
    others: [...new Set(threads.map((text) => field(text, 'CapEff')))].sort(),
    noNewPrivileges: field(own, 'NoNewPrivs'),
    markedConnect: connected.kind === 'failed' ? connected.code : 'connected',
    lowPort: attempt(() =>
      native.closeFd(
        native.listenTcp({
          ip: '127.0.0.1' as Ip,
          port: 87,
          backlog: 1,
          transparent: true,
          reusePort: false,
          v6only: true,
        }),
      ),
    ),
    heartbeat: heartbeat.beat().kind,
    becomeRoot: attempt(() => process.setuid?.(0)),
    again: attempt(() => native.dropPrivileges({ uid: 0, gid: 0, keepCapabilities: [] })),
  }),
)
