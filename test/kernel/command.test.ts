import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { createCommandRunner, mustRun, resolveProgram } from '#agent/kernel/command.ts'
import { ShuntError } from '#agent/model/errors.ts'

const runner = createCommandRunner()

test('a program is found in system folders only, by its bare name', (t) => {
  t.regex(resolveProgram('cat') ?? '', /^\/(usr\/)?s?bin\/cat$/)
  t.is(resolveProgram('no-such-program-of-shunt'), undefined)
  for (const name of ['', '../bin/cat', '/bin/cat', 'cat\0']) t.is(resolveProgram(name), undefined, name)
})

test('PATH has no say', async (t) => {
  // node_modules/.bin is on the PATH of a test run and holds ava; no system folder does.
  const error = await t.throwsAsync(runner.run({ program: 'ava', args: [] }), { instanceOf: ShuntError })
  t.is(error.code, 'PROGRAM_MISSING')
})

test('exit code and both outputs come back; a failure is an answer', async (t) => {
  const ok = await runner.run({ program: 'cat', args: [], stdin: 'hello\n' })
  t.is(ok.exitCode, 0)
  t.is(ok.stdout, 'hello\n')
  t.true(ok.durationMs > 0)
  const bad = await runner.run({ program: 'ls', args: ['/no/such/folder'] })
  t.is(bad.exitCode, 2)
  t.regex(bad.stderr, /No such file/)
})

test('the environment is the C locale and a fixed PATH', async (t) => {
  const { stdout } = await runner.run({ program: 'env', args: [] })
  t.deepEqual(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.replace(/=.*/, ''))
      .toSorted(),
    ['LC_ALL', 'PATH'],
  )
})

test('20 MB through stdin and stdout arrive whole', async (t) => {
  const text = 'ä-0123456789\n'.repeat(1_500_000)
  const { stdout } = await runner.run({ program: 'cat', args: [], stdin: text })
  t.true(stdout === text)
})

test('input in pieces and output in pieces never need the whole text', async (t) => {
  let drawn = 0
  function* pieces(): Generator<string> {
    for (; drawn < 300; drawn++) yield `${'ä-0123456789'.repeat(3_000)}\n`
  }
  let length = 0
  const result = await runner.run({
    program: 'cat',
    args: [],
    stdinPieces: pieces(),
    onStdout: (piece) => {
      length += piece.length
    },
  })
  t.is(result.stdout, '')
  t.is(drawn, 300)
  t.is(length, 300 * (12 * 3_000 + 1))
  const early = await runner.run({ program: 'false', args: [], stdinPieces: pieces() })
  t.is(early.exitCode, 1)
})

test('an error of who draws or takes pieces does not hang the command', async (t) => {
  const thrower = function* (): Generator<string> {
    yield 'a'
    throw new Error('no more')
  }
  await t.throwsAsync(runner.run({ program: 'cat', args: [], stdinPieces: thrower() }), {
    message: 'no more',
  })
  const take = (): void => {
    throw new Error('not understood')
  }
  await t.throwsAsync(runner.run({ program: 'cat', args: [], stdin: 'a', onStdout: take }), {
    message: 'not understood',
  })
})

test('a program that closes its stdin early fails by its exit code', async (t) => {
  const result = await runner.run({ program: 'false', args: [], stdin: 'x'.repeat(5_000_000) })
  t.is(result.exitCode, 1)
})

test('at the deadline the program is killed', async (t) => {
  const startedMs = performance.now()
  const error = await t.throwsAsync(runner.run({ program: 'sleep', args: ['30'], timeoutMs: 100 }), {
    instanceOf: ShuntError,
  })
  t.is(error.code, 'PROGRAM_TIMEOUT')
  t.true(performance.now() - startedMs < 3_000)
})

test('a program that closed its output is still killed by the deadline, and it is said so', async (t) => {
  const args = ['-c', 'exec >&- 2>&-; sleep 30']
  const error = await t.throwsAsync(runner.run({ program: 'sh', args, timeoutMs: 100 }), {
    instanceOf: ShuntError,
  })
  t.is(error.code, 'PROGRAM_TIMEOUT')
})

test('an aborted signal kills the program and its reason is thrown', async (t) => {
  const abort = new AbortController()
  const running = runner.run({ program: 'sleep', args: ['30'] }, abort.signal)
  await sleep(50)
  abort.abort(new Error('enough'))
  await t.throwsAsync(running, { message: 'enough' })
  await t.throwsAsync(runner.run({ program: 'true', args: [] }, abort.signal), { message: 'enough' })
})

test('mustRun tells which command failed and why', async (t) => {
  const error = await t.throwsAsync(mustRun(runner, { program: 'ls', args: ['/no/such/folder'] }), {
    instanceOf: ShuntError,
  })
  t.is(error.code, 'PROGRAM_FAILED')
  t.regex(error.message, /^ls \/no\/such\/folder ended with code 2: .*No such file/)
})

test('death by a signal is 128 + its number', async (t) => {
  const result = await runner.run({ program: 'timeout', args: ['--signal=KILL', '0.05', 'sleep', '10'] })
  t.is(result.exitCode, 137)
})
