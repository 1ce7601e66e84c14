// A network namespace of its own for a test, and a CommandRunner whose programs run inside it.

import { createCommandRunner, mustRun, resolveProgram, type CommandRunner } from '#agent/kernel/command.ts'

export interface TestNamespace {
  readonly name: string
  readonly runner: CommandRunner
  /** Standard output of a command inside; throws if it fails. */
  exec(program: string, ...args: string[]): Promise<string>
  close(): Promise<void>
}

let count = 0

/** With loopback up. */
export async function testNamespace(): Promise<TestNamespace> {
  const host = createCommandRunner()
  const name = `shunt-rt-${process.pid}-${++count}`
  await mustRun(host, { program: 'ip', args: ['netns', 'add', name] })
  const runner: CommandRunner = {
    run: async ({ program, args, ...rest }, signal) =>
      await host.run(
        {
          program: 'nsenter',
          args: [`--net=/run/netns/${name}`, resolveProgram(program) ?? program, ...args],
          ...rest,
        },
        signal,
      ),
  }
  await mustRun(runner, { program: 'ip', args: ['link', 'set', 'lo', 'up'] })
  return {
    name,
    runner,
    exec: async (program, ...args) => (await mustRun(runner, { program, args })).stdout,
    close: async () => {
      await mustRun(host, { program: 'ip', args: ['netns', 'del', name] })
    },
  }
}
