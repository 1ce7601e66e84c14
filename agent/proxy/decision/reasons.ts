// What is wrong with a document, collected up to a limit: a garbage file of megabytes must not become a log line of
// megabytes.

export const MAX_REASONS = 20

export type JsonObject = Readonly<Record<string, unknown>>

export class Reasons {
  readonly #list: string[] = []
  #left = 0

  get none(): boolean {
    return this.#list.length === 0
  }

  get list(): readonly string[] {
    return this.#left === 0 ? this.#list : [...this.#list, `and ${this.#left} more`]
  }

  /** Returns undefined, which is what a reader of a wrong value has to return. */
  add(path: string, sentence: string): undefined {
    if (this.#list.length < MAX_REASONS) this.#list.push(`${path} ${sentence}`)
    else this.#left++
    return undefined
  }
}

export function isObject(json: unknown): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}
