import test from 'ava'
import { ShuntError } from '#agent/model/errors.ts'
import { createLog, type LogFormat, type LogLevel } from '#agent/observe/log.ts'

function capture(level: LogLevel, format: LogFormat) {
  const lines: string[] = []
  const to = { write: (line: string): void => void lines.push(line) }
  return { lines, log: createLog({ level, format, process: 'agent', to }) }
}

test('a line is one JSON document with process, component, level and the fields', (t) => {
  const { lines, log } = capture('info', 'auto')
  log.child({ component: 'sync' }).info({ generation: 3 }, 'rules are in place')
  t.is(lines.length, 1)
  const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>
  t.like(line, {
    level: 'info',
    process: 'agent',
    component: 'sync',
    generation: 3,
    msg: 'rules are in place',
  })
  t.regex(String(line['time']), /^\d{4}-\d\d-\d\dT.*Z$/)
})

test('lines below the level are left out', (t) => {
  const { lines, log } = capture('warn', 'json')
  log.info({}, 'no')
  log.debug({}, 'no')
  log.warn({}, 'yes')
  t.is(lines.length, 1)
})

test('an error prints its code, hint and causes, and a stack only for bugs', (t) => {
  const { lines, log } = capture('info', 'json')
  const cause = new TypeError('x is undefined')
  log.error({ error: new ShuntError('PROGRAM_FAILED', 'iptables-restore exited with 4', { cause }) }, 'sync')
  const { error } = JSON.parse(lines[0] ?? '') as { error: Record<string, unknown> }
  t.like(error, { code: 'PROGRAM_FAILED', message: 'iptables-restore exited with 4' })
  t.is(error['stack'], undefined)
  t.regex((error['cause'] as { stack: string }).stack, /TypeError: x is undefined\n {4}at /)
})
