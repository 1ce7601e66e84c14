// HTTP and JSON over one of the two admin sockets (agent.sock, proxy.sock). A socket that nobody listens on is
// PEER_UNREACHABLE; an error that the server answers is thrown here as the error that it was there.

import { ERROR_CODES, type ErrorCode } from '../model/error-codes.ts'
import { messageOf, ShuntError } from '../model/errors.ts'

export interface AdminClient {
  /** The decoded body of a 200. `path` begins with a slash. Throws a ShuntError. */
  get(path: string): Promise<unknown>
  /** True if a process listens there, whatever it says. */
  answers(): Promise<boolean>
}

/** See observe/http-json.ts. */
const http = process.getBuiltinModule('node:http')

/** Local sockets answer in a millisecond; a process that takes this long is stuck. */
const DEADLINE_MS = 5_000
/** Writing and reading the plan of a large cluster takes seconds. */
const PLAN_DEADLINE_MS = 30_000
/** A plan of 10,000 Services with 10 endpoints each is some 30 MB. */
const BODY_LIMIT_BYTES = 256 * 1024 * 1024

/** `who` names the process in errors: `agent` or `proxy`. */
export function adminClient(who: 'agent' | 'proxy', socketPath: string): AdminClient {
  return {
    get: async (path) => {
      const answer = await fetchText(who, socketPath, path)
      const body = decode(answer.body)
      if (answer.status === 200) return body
      throw refusal(who, path, answer, body)
    },
    answers: async () => {
      try {
        await fetchText(who, socketPath, '/status')
        return true
      } catch (error) {
        if (error instanceof ShuntError && error.code === 'PEER_UNREACHABLE') return false
        throw error
      }
    },
  }
}

interface Answer {
  readonly status: number
  readonly body: string
}

async function fetchText(who: string, socketPath: string, path: string): Promise<Answer> {
  const deadlineMs = path === '/plan' ? PLAN_DEADLINE_MS : DEADLINE_MS
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const sent = http.request(
    { socketPath, path, method: 'GET', signal: AbortSignal.timeout(deadlineMs) },
    (response) => {
      const chunks: Buffer[] = []
      let sizeBytes = 0
      response.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length
        if (sizeBytes > BODY_LIMIT_BYTES) response.destroy(new Error(`more than ${BODY_LIMIT_BYTES} bytes`))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      )
    },
  )
  sent.on('error', reject)
  sent.end()
  try {
    return await promise
  } catch (cause) {
    throw unreachable(who, socketPath, cause, deadlineMs)
  }
}

function unreachable(who: string, socketPath: string, cause: unknown, deadlineMs: number): ShuntError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'EACCES')
    return new ShuntError(
      'NOT_PERMITTED',
      `the socket of the ${who}, ${socketPath}, is closed to this user`,
      { cause },
    )
  const why =
    code === 'ENOENT'
      ? 'there is no such socket'
      : code === 'ECONNREFUSED'
        ? 'nobody listens on it'
        : cause instanceof Error && cause.name === 'AbortError'
          ? `no answer within ${deadlineMs / 1000} s; it may be stopped`
          : messageOf(cause)
  return new ShuntError('PEER_UNREACHABLE', `the ${who} does not answer on ${socketPath}: ${why}`, { cause })
}

function decode(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The admin servers say what is wrong as `{"error": {code, message, hint}}`, which becomes that error again here. */
function refusal(who: string, path: string, answer: Answer, body: unknown): ShuntError {
  const said = isRecord(body) && isRecord(body['error']) ? body['error'] : {}
  const message = typeof said['message'] === 'string' ? said['message'] : answer.body.slice(0, 200)
  const code = typeof said['code'] === 'string' && isErrorCode(said['code']) ? said['code'] : undefined
  const hint = typeof said['hint'] === 'string' && said['hint'] !== '' ? { hint: said['hint'] } : {}
  if (code !== undefined) return new ShuntError(code, message, hint)
  return new ShuntError('INTERNAL', `the ${who} answered ${answer.status} to ${path}: ${message}`)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text)
}
