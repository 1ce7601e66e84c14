import test from 'ava'
import { createServer, type Server } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adminClient } from '#agent/cli/admin-client.ts'
import { adminRoutes } from '#agent/observe/admin.ts'
import { serveHttp } from '#agent/observe/http-json.ts'
import { ShuntError } from '#agent/model/errors.ts'
import { quietLog } from '#test/support/quiet-log.ts'

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'shunt-cli-'))
  try {
    await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function thrownBy(promise: Promise<unknown>): Promise<ShuntError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof ShuntError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

test("what the agent's admin socket answers arrives, and so do its errors", async (t) => {
  await withFolder(async (folder) => {
    const path = join(folder, 'agent.sock')
    const routes = adminRoutes({
      status: () => ({ state: 'ready', pid: 7 }),
      plan: () => undefined,
      snapshot: () => undefined,
      configuration: () => ({}),
      problems: () => [],
      drift: () => null,
      rules: () => undefined,
      metrics: () => '',
      resync: () => Promise.resolve(null),
    })
    const server = await serveHttp({ kind: 'unix', path }, routes, quietLog())
    try {
      const client = adminClient('agent', path)
      t.deepEqual(await client.get('/status'), { state: 'ready', pid: 7 })
      t.true(await client.answers())
      const early = await thrownBy(client.get('/plan'))
      t.is(early.code, 'NOT_READY')
      t.is(early.message, 'the agent has no plan yet')
      t.is((await thrownBy(client.get('/nowhere'))).code, 'NOT_FOUND')
    } finally {
      await server.close()
    }
  })
})

test('a socket that is not there, or that nobody listens on, is PEER_UNREACHABLE', async (t) => {
  await withFolder(async (folder) => {
    const client = adminClient('proxy', join(folder, 'proxy.sock'))
    const error = await thrownBy(client.get('/status'))
    t.is(error.code, 'PEER_UNREACHABLE')
    t.regex(error.message, /^the proxy does not answer on .*proxy\.sock: there is no such socket$/)
    t.false(await client.answers())
  })
})

test('an answer that is no JSON and no error of ours says so', async (t) => {
  await withFolder(async (folder) => {
    const path = join(folder, 'odd.sock')
    const server = createServer((_, response) => {
      response.statusCode = 500
      response.end('<html>')
    })
    await listen(server, path)
    try {
      const error = await thrownBy(adminClient('agent', path).get('/status'))
      t.is(error.code, 'INTERNAL')
      t.is(error.message, 'the agent answered 500 to /status: <html>')
    } finally {
      server.close()
    }
  })
})

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve) => {
    server.listen(path, resolve)
  })
}
