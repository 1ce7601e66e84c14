import test from 'ava'
import type { Command } from '#agent/cli/command.ts'
import { COMMANDS } from '#agent/cli/commands.ts'
import { EXIT } from '#agent/cli/exit.ts'
import { runCli } from '#agent/cli/program.ts'
import { ShuntError } from '#agent/model/errors.ts'
import { fakePorts } from './fake-ports.ts'

const echo: Command = {
  spec: {
    name: 'echo',
    summary: 'says what it got',
    arguments: [
      { syntax: '<word>', description: 'a word' },
      { syntax: '[more]', description: 'another' },
    ],
    options: [
      { flags: '--loud', description: 'louder' },
      { flags: '--times <n>', description: 'how often', default: '1' },
      { flags: '--tag <tag>', description: 'a tag', repeatable: true },
      { flags: '--color <name>', description: 'a colour', choices: ['red', 'blue'] },
    ],
    prints: true,
    examples: [{ line: 'shunt echo hello', explains: 'says hello' }],
  },
  run(ports, input) {
    const options = [input.flag('loud'), input.text('times'), input.list('tag'), input.outputFormat()]
    ports.stdout(`${JSON.stringify([input.argument(0), input.argument(1) ?? null, ...options])}\n`)
    return Promise.resolve(EXIT.ok)
  },
}

function failing(thrown: unknown): Command {
  return {
    spec: { name: 'fail', summary: 'fails', arguments: [], options: [], prints: false, examples: [] },
    run: () => Promise.reject(thrown),
  }
}

async function cli(argv: readonly string[], commands: readonly Command[] = [echo]) {
  const ports = fakePorts()
  const code = await runCli(argv, commands, ports)
  return { code, stdout: ports.written.stdout, stderr: ports.written.stderr }
}

test('arguments and options reach the command', async (t) => {
  t.deepEqual(await cli(['echo', 'hi', '--loud', '--tag', 'a', '--tag=b', '-o', 'json']), {
    code: 0,
    stdout: '["hi",null,true,"1",["a","b"],"json"]\n',
    stderr: '',
  })
})

const USAGE: readonly (readonly [string, readonly string[], string])[] = [
  ['an unknown command', ['ecko'], "error: unknown command 'ecko' (USAGE)\nhint: Did you mean echo?\n"],
  [
    'an unknown option',
    ['echo', 'x', '--laud'],
    "error: unknown option '--laud' (USAGE)\nhint: Did you mean --loud?\n",
  ],
  [
    'a missing argument',
    ['echo'],
    "error: missing required argument 'word' (USAGE)\nhint: run the command with --help\n",
  ],
  [
    'too many arguments',
    ['echo', 'a', 'b', 'c'],
    "error: too many arguments for 'echo'. Expected 2 arguments but got 3: a, b, c. (USAGE)\nhint: run the command with --help\n",
  ],
  [
    'a missing value',
    ['echo', 'x', '--times'],
    "error: option '--times <n>' argument missing (USAGE)\nhint: run the command with --help\n",
  ],
  [
    'a wrong choice',
    ['echo', 'x', '--color', 'pink'],
    "error: option '--color <name>' argument 'pink' is invalid. Allowed choices are red, blue. (USAGE)\nhint: run the command with --help\n",
  ],
  [
    'an unknown format',
    ['echo', 'x', '-o', 'xml'],
    "error: option '-o, --output <format>' argument 'xml' is invalid. Allowed choices are table, wide, json, yaml. (USAGE)\nhint: run the command with --help\n",
  ],
]

for (const [what, argv, stderr] of USAGE)
  test(`${what} is wrong usage: exit code 2, nothing on stdout`, async (t) => {
    t.deepEqual(await cli(argv), { code: 2, stdout: '', stderr })
  })

test('no command at all prints the help and is wrong usage', async (t) => {
  const { code, stdout, stderr } = await cli([])
  t.is(code, 2)
  t.is(stdout, '')
  t.regex(stderr, /^Usage: shunt \[options\] \[command\]/)
})

test('--version prints the version of the package', async (t) => {
  const { code, stdout } = await cli(['--version'])
  t.is(code, 0)
  t.regex(stdout, /^\d+\.\d+\.\d+\n$/)
})

test('--help is an answer, not an error', async (t) => {
  const { code, stdout, stderr } = await cli(['echo', '--help'])
  t.is(code, 0)
  t.is(stderr, '')
  t.regex(stdout, /^Usage: shunt echo \[options\] <word> \[more\]/)
  t.true(stdout.endsWith('Example:\n  shunt echo hello\n      says hello\n'))
})

const ERRORS: readonly (readonly [string, unknown, number, string])[] = [
  [
    'what cannot be done',
    new ShuntError('NOT_FOUND', 'no Service a/b'),
    1,
    'error: no Service a/b (NOT_FOUND)\nhint: list what exists with `shunt services`\n',
  ],
  [
    'a bad configuration',
    new ShuntError('CONFIG_INVALID', 'bad', { hint: 'h' }),
    2,
    'error: bad (CONFIG_INVALID)\nhint: h\n',
  ],
  [
    'nobody there',
    new ShuntError('PEER_UNREACHABLE', 'gone', { hint: 'h' }),
    3,
    'error: gone (PEER_UNREACHABLE)\nhint: h\n',
  ],
  ['not ready', new ShuntError('NOT_READY', 'soon', { hint: 'h' }), 3, 'error: soon (NOT_READY)\nhint: h\n'],
]

for (const [what, error, code, stderr] of ERRORS)
  test(`${what} exits with ${code}`, async (t) => {
    t.deepEqual(await cli(['fail'], [failing(error)]), { code, stdout: '', stderr })
  })

test('a bug says that it is one, and where', async (t) => {
  const { code, stderr } = await cli(['fail'], [failing(new TypeError('x is not a function'))])
  t.is(code, 1)
  t.regex(
    stderr,
    /^error: x is not a function \(INTERNAL\)\nhint: report it.*\nTypeError: x is not a function\n/,
  )
})

test('every command has a summary, an example that calls it, and its help', async (t) => {
  for (const { spec } of COMMANDS) {
    t.true(spec.summary.length > 10, spec.name)
    t.true(spec.examples.length > 0, spec.name)
    for (const { line } of spec.examples) t.true(line.startsWith(`shunt ${spec.name}`), line)
    const { code, stdout } = await cli([spec.name, '--help'], COMMANDS)
    t.is(code, 0)
    t.true(stdout.includes(spec.examples[0]?.line ?? '-'), spec.name)
    t.is(stdout.includes('-o, --output'), spec.prints, spec.name)
  }
})

test('the commands of this version, and no stub of a later one', (t) => {
  t.deepEqual(
    COMMANDS.map(({ spec }) => spec.name),
    'run agent proxy status services endpoints trace connections plan diff check validate cleanup'.split(' '),
  )
})
