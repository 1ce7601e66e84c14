// One command line against fake ports.

import { COMMANDS } from '#agent/cli/commands.ts'
import { runCli } from '#agent/cli/program.ts'
import { fakePorts, type FakeParts } from './fake-ports.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Words are separated by single spaces. */
export async function runCommand(line: string, parts: FakeParts = {}): Promise<Ran> {
  const ports = fakePorts(parts)
  const code = await runCli(line.split(' '), COMMANDS, ports)
  return { code, ...ports.written }
}

/** A golden text: without the first and the last line feed and without the indentation of its first line. */
export function golden(text: string): string {
  const lines = text.replace(/^\n/, '').replace(/\n *$/, '').split('\n')
  const indent = /^ */.exec(lines[0] ?? '')?.[0].length ?? 0
  return `${lines.map((line) => line.slice(indent)).join('\n')}\n`
}
