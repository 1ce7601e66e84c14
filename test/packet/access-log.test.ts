// The access log of the real process: opened as root in a folder that nobody else may enter, written as the proxy's user,
// whole when the process ends.

import test from 'ava'
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AccessFields } from '#agent/proxy/access-line.ts'
import { frontend, service, view, WEB } from '../proxy/views.ts'
import { ProxyLab } from './proxy-lab.ts'

const CONNECTIONS = 200

test('every connection that ends is one line, refused ones too, and none is missing at the end', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'shunt-access-'))
  await chmod(folder, 0o700)
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 'access.log')
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.startAgent(
    view({
      frontends: { '10.96.0.10|80': frontend() },
      // Nobody listens at the second one.
      services: { [WEB]: service(['10.244.1.2:8080', '10.244.1.3:8080']) },
    }),
  )
  const proxy = lab.startProxy({ accessLog: { kind: 'file', path }, drainMs: 500 })
  await proxy.until('serving', ({ state }) => state === 'serving')
  lab.steer({ ip: '10.96.0.10', port: 80 }, { ip: '10.96.0.66', port: 80 })
  for (let i = 0; i < CONNECTIONS; i++)
    t.like(await lab.ask({ kind: 'dial', ip: '10.96.0.10', port: 80, send: 'hi' }), { data: 'four\nhi' })
  await lab.ask({ kind: 'dial', ip: '10.96.0.66', port: 80, send: 'hi' })
  proxy.signal('SIGTERM')
  t.is(await proxy.exited, 0)

  t.like(await stat(path), { uid: 0, mode: 0o100640 })
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
  const records = lines.map((line) => JSON.parse(line) as AccessFields & { log: string; time: string })
  t.is(records.length, CONNECTIONS + 1)
  const closed = records.filter(({ outcome }) => outcome === 'closed')
  t.is(closed.length, CONNECTIONS)
  for (const { endpoint, fromClientBytes, fromEndpointBytes, durationMs, connectMs = -1 } of closed) {
    t.is(endpoint, '10.244.1.2:8080')
    t.deepEqual([fromClientBytes, fromEndpointBytes], [2, 7])
    t.true(connectMs >= 0 && connectMs <= durationMs)
  }
  const retried = closed.filter(({ attempts }) => attempts !== undefined)
  t.true(retried.length > CONNECTIONS / 4, 'half of them were refused by the other endpoint first')
  for (const { attempts = [] } of retried) {
    t.regex(attempts[0] ?? '', /^10\.244\.1\.3:8080 ECONNREFUSED /)
    t.regex(attempts[1] ?? '', /^10\.244\.1\.2:8080 connected /)
  }
  t.like(records.at(-1), { log: 'access', outcome: 'refused: no-frontend', destination: '10.96.0.66:80' })
})
