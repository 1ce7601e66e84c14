// What the operator typed, read back by name with the type that the command expects.

import { ShuntError } from '../model/errors.ts'
import { OUTPUT_FORMATS, type OutputFormat } from './output.ts'

export class Input {
  readonly #args: readonly string[]
  readonly #options: Readonly<Record<string, unknown>>

  /** Options by commander's camel-case names. */
  constructor(args: readonly string[], options: Readonly<Record<string, unknown>>) {
    this.#args = args
    this.#options = options
  }

  /** The argument at `index`; commander has already refused a missing required one. */
  argument(index: number): string | undefined {
    return this.#args[index]
  }

  text(name: string): string | undefined {
    const value = this.#options[name]
    return typeof value === 'string' ? value : undefined
  }

  flag(name: string): boolean {
    return this.#options[name] === true
  }

  list(name: string): readonly string[] {
    const value = this.#options[name]
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
  }

  /** Everything that was given, for the commands whose options are those of the configuration. */
  all(): Readonly<Record<string, unknown>> {
    return this.#options
  }

  outputFormat(): OutputFormat {
    const value = this.text('output') ?? 'table'
    const known = OUTPUT_FORMATS.find((name) => name === value)
    if (known === undefined) throw new ShuntError('USAGE', `output format ${value} is unknown`)
    return known
  }
}
