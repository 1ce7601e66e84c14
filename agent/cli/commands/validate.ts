// shunt validate: everything that is wrong with manifests, offline, each with file, line and field.

import { ShuntError, type Problem } from '../../model/errors.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { format, type Printed } from '../output.ts'
import type { OfflineSource } from '../ports.ts'

export const validate: Command = {
  spec: {
    name: 'validate',
    summary: 'check manifests offline: every problem with file, line and field path',
    details: 'Exits with 1 if there are errors; warnings alone are fine.',
    arguments: [],
    options: [{ flags: '-f, --manifests <path>', description: 'a file or a folder; required' }],
    prints: true,
    examples: [{ line: 'shunt validate -f manifests/', explains: 'before the agent gets them' }],
  },
  async run(ports, input) {
    const path = input.text('manifests')
    if (path === undefined) throw new ShuntError('USAGE', 'what to validate is missing: give -f PATH')
    const source = await ports.manifests(path, {})
    ports.stdout(format(printedProblems(source), input.outputFormat()))
    return source.problems.some(isError) ? EXIT.failed : EXIT.ok
  },
}

function printedProblems(source: OfflineSource): Printed {
  const errors = source.problems.filter(isError).length
  const warnings = source.problems.length - errors
  return {
    data: () => ({ objects: source.objects, errors, warnings, problems: source.problems }),
    text: () =>
      [
        ...source.problems.map(problemLine),
        `${count(source.objects, 'object')}, ${count(errors, 'error')}, ${count(warnings, 'warning')}`,
      ].join('\n'),
  }
}

/** `manifests/web.yaml:12: error: Service default/web: spec.ports[0].port: … (OBJECT_INVALID)`. */
function problemLine(problem: Problem): string {
  const place =
    problem.file === undefined
      ? ''
      : `${problem.file}${problem.line === undefined ? '' : `:${problem.line}`}: `
  const where = [problem.object, problem.field].filter((part) => part !== '').map((part) => `${part}: `)
  return `${place}${problem.severity}: ${where.join('')}${problem.message} (${problem.code})`
}

function isError(problem: Problem): boolean {
  return problem.severity === 'error'
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
