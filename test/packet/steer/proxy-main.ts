// Stands for the proxy: its listeners, its heartbeat, and an answer that tells the original destination as the lab's
// peers expect answers (`name source`). Arguments: pin folder, mechanism. Says `ready <json>` once it serves.

import net from 'node:net'

import { openHeartbeat } from '#agent/kernel/heartbeat.ts'
import { loadNative } from '#agent/kernel/native.ts'
import { originalDestination } from '#agent/kernel/original-destination.ts'
import { openSteerListeners, selfTestAnswer } from '#agent/kernel/steer-socket.ts'
import { hostPort } from '#agent/model/ip.ts'
import { HEARTBEAT_INTERVAL_MS, PROXY_PORT, PROXY_UID, SELFTEST_PORT } from '#agent/model/steering-names.ts'

const [, , pinDir = '', mechanism = 'sk_lookup'] = process.argv
const load = loadNative()
if (load.kind === 'absent') throw new Error(load.because)
const { native } = load

const listeners = openSteerListeners(native, {
  pinDir,
  port: PROXY_PORT,
  backlog: 511,
  skLookup: mechanism === 'sk_lookup',
})
const heartbeat = openHeartbeat(native)
native.dropPrivileges({
  uid: PROXY_UID,
  gid: PROXY_UID,
  keepCapabilities: ['NET_ADMIN', 'NET_BIND_SERVICE'],
})

for (const { fd } of listeners.sockets) net.createServer(serve).listen({ fd })
heartbeat.beat()
setInterval(() => heartbeat.beat(), HEARTBEAT_INTERVAL_MS)
process.on('SIGTERM', () => {
  heartbeat.withdraw()
  process.exit(0)
})
process.stdout.write(`ready ${JSON.stringify({ skLookup: listeners.skLookup, uid: process.getuid?.() })}\n`)

function serve(socket: net.Socket): void {
  const destination = originalDestination(native, socket)
  socket.on('error', () => socket.destroy())
  if (destination?.port === SELFTEST_PORT) {
    socket.end(selfTestAnswer(process.pid, 7))
    return
  }
  const name = destination === undefined ? 'nowhere' : hostPort(destination.ip, destination.port)
  socket.on('data', (chunk) => {
    if (chunk.includes('\n')) socket.write(`proxy:${name} ${socket.remoteAddress}\n`)
  })
}
