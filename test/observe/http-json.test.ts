import test from 'ava'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ErrorCode } from '#agent/model/error-codes.ts'
import { ShuntError } from '#agent/model/errors.ts'
import { json, serveHttp, text, type ListenPlace, type Routes } from '#agent/observe/http-json.ts'
import { loadNative } from '#agent/kernel/native.ts'
import { copyFd } from '#test/support/copy-fd.ts'
import { quietLog } from '#test/support/quiet-log.ts'

const ROUTES: Routes = {
  'GET /status': () => json({ ready: true }),
  'GET /rules': ({ query }) => text(`rules of ${query.get('family')}\n`),
  'GET /services/*': ({ path }) => json({ path }),
  'POST /echo': ({ body }) => json(body),
  'GET /broken': () => {
    throw new ShuntError('NOT_READY', 'no plan yet')
  },
  'GET /bug': () => {
    throw new TypeError('x is not a function')
  },
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly type: string
}

function ask(path: string, url: string, method = 'GET', body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: path, path: url, method }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          body: text,
          type: response.headers['content-type'] ?? '',
        }),
      )
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

async function folder(t: { teardown(run: () => unknown): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'shunt-http-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}

test('routes answer over a Unix socket that only the owner may use', async (t) => {
  const path = join(await folder(t), 'sub', 'agent.sock')
  const server = await serveHttp({ kind: 'unix', path }, ROUTES, quietLog())
  t.teardown(() => server.close())
  t.is((await stat(path)).mode & 0o777, 0o600)
  const rows: [string, string, string, number, string][] = [
    ['GET', '/status', '', 200, '{"ready":true}\n'],
    ['GET', '/rules?family=IPv4', '', 200, 'rules of IPv4\n'],
    ['GET', '/services/default/web', '', 200, '{"path":"/services/default/web"}\n'],
    ['POST', '/echo', '{"a":1}', 200, '{"a":1}\n'],
    ['POST', '/echo', '{"a":', 400, ''],
    ['POST', '/echo', `"${'x'.repeat(70_000)}"`, 400, ''],
    ['POST', '/status', '', 405, ''],
    ['GET', '/nothing', '', 404, ''],
    ['GET', '/broken', '', 503, ''],
    ['GET', '/bug', '', 500, ''],
  ]
  for (const [method, url, body, status, expected] of rows) {
    const answer = await ask(path, url, method, body)
    t.is(answer.status, status, `${method} ${url}`)
    if (expected !== '') t.is(answer.body, expected)
    else t.regex(answer.body, /^\{"error":\{"code":"[A-Z_]+","message":/)
  }
  t.is((await ask(path, '/broken')).body.includes('shunt status'), true)
})

test('a socket that a dead process left is replaced, a live one is not', async (t) => {
  const path = join(await folder(t), 'agent.sock')
  const first = await serveHttp({ kind: 'unix', path }, ROUTES, quietLog())
  await t.throwsAsync(serveHttp({ kind: 'unix', path }, ROUTES, quietLog()), {
    instanceOf: ShuntError,
    message: /another process answers/,
  })
  t.is((await ask(path, '/status')).status, 200)
  await first.close()

  // A crash leaves the file: Node unlinks on close, so the file is made again by hand from a closed descriptor.
  const left = createServer()
  await new Promise<void>((resolve) => left.listen(`${path}.left`, resolve))
  const { linkSync } = await import('node:fs')
  linkSync(`${path}.left`, path)
  await new Promise<void>((resolve) => left.close(() => resolve()))
  const second = await serveHttp({ kind: 'unix', path }, ROUTES, quietLog())
  t.teardown(() => second.close())
  t.is((await ask(path, '/status')).status, 200)
})

test('two servers on copies of one socket: when one closes, the other answers on the same path', async (t) => {
  const loaded = loadNative()
  if (loaded.kind === 'absent') return t.fail(loaded.because)
  const { native } = loaded
  const path = join(await folder(t), 'proxy.sock')
  const fd = native.fdPassing.listenUnix(path, 0o600, 16)
  const copy = await copyFd(native, fd)
  const first = await serveHttp({ kind: 'fd', fd }, { 'GET /who': () => text('first') }, quietLog())
  t.is((await ask(path, '/who')).body, 'first')
  const second = await serveHttp({ kind: 'fd', fd: copy }, { 'GET /who': () => text('second') }, quietLog())
  await first.close()
  t.is((await ask(path, '/who')).body, 'second')
  await second.close()
  await t.throwsAsync(ask(path, '/who'), { code: 'ECONNREFUSED' })
})

test('places that cannot be listened on say why', async (t) => {
  const path = await folder(t)
  await writeFile(join(path, 'file'), 'mine')
  const taken = await serveHttp({ kind: 'tcp', host: '127.0.0.1', port: 0 }, ROUTES, quietLog())
  t.teardown(() => taken.close())
  const rows: [ListenPlace, ErrorCode][] = [
    [{ kind: 'unix', path: join(path, 'file') }, 'ADDRESS_IN_USE'],
    [{ kind: 'unix', path: join(path, 'x'.repeat(120)) }, 'USAGE'],
    [{ kind: 'tcp', host: '127.0.0.1', port: taken.port }, 'ADDRESS_IN_USE'],
    [{ kind: 'tcp', host: '192.0.2.1', port: 0 }, 'KERNEL_REFUSED'],
  ]
  for (const [place, code] of rows) {
    const error = await t.throwsAsync(serveHttp(place, ROUTES, quietLog()), { instanceOf: ShuntError })
    t.is(error.code, code, JSON.stringify(place).slice(0, 80))
  }
})
