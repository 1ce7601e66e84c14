// A layer of configuration: some of the options, from one origin, with what was wrong there. Later layers win.

import type { Problem } from '../model/errors.ts'
import { optionRow, type Configuration, type OptionKey } from './options.ts'
import type { Read } from './value-types.ts'

export interface Layer {
  readonly values: Partial<Configuration>
  readonly problems: readonly Problem[]
}

/** Collects values and problems of one layer. */
export interface LayerBuilder {
  /** Takes what was read, or reports it through `problem`. */
  take(key: OptionKey, read: Read<unknown>, problem: (message: string) => Problem): void
  report(problem: Problem): void
  build(): Layer
}

export function layerBuilder(): LayerBuilder {
  const values: Partial<Record<OptionKey, unknown>> = {}
  const problems: Problem[] = []
  return {
    take(key, read, problem) {
      if (read.ok) values[key] = read.value
      else problems.push(problem(`expected ${read.expected}`))
    },
    report: (problem) => void problems.push(problem),
    // Each value came from the type of its own row.
    build: () => ({ values: values as Partial<Configuration>, problems }),
  }
}

/** Reads text by the row's type. */
export function parseOption(key: OptionKey, text: string): Read<unknown> {
  return optionRow(key).type.parse(text)
}

/** Reads a YAML value by the row's type. */
export function decodeOption(key: OptionKey, value: unknown): Read<unknown> {
  return optionRow(key).type.decode(value)
}
