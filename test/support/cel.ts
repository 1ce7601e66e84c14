// As much of the Common Expression Language as the rules of our schema use: enough to run them, and to fail on anything
// else. The API server's is the real one.

import { parseDuration } from '#agent/model/duration.ts'

/** Throws for what it cannot read, and for what CEL refuses to compare. */
export function runCel(rule: string, self: unknown): unknown {
  const tokens = [...rule.matchAll(TOKEN)].map(([, token = '']) => token)
  if (tokens.join('') !== rule.replaceAll(/\s+(?=(?:[^']*'[^']*')*[^']*$)/g, ''))
    throw new Error(`not understood: ${rule}`)
  const reader = new Reader(tokens)
  const value = reader.ternary()
  if (!reader.done) throw new Error(`more than one expression: ${rule}`)
  return value({ self })
}

const TOKEN = /\s*('[^']*'|[A-Za-z_]\w*|\d+(?:\.\d+)?|&&|\|\||[<>=!]=|[<>!?:.,()[\]])/g

type Names = Readonly<Record<string, unknown>>
type Expression = (names: Names) => unknown

class Reader {
  readonly #tokens: readonly string[]
  #at = 0

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens
  }

  get done(): boolean {
    return this.#at === this.#tokens.length
  }

  ternary(): Expression {
    const condition = this.#or()
    if (!this.#take('?')) return condition
    const yes = this.ternary()
    this.#expect(':')
    const no = this.ternary()
    return (names) => (truth(condition(names)) ? yes(names) : no(names))
  }

  #or(): Expression {
    let left = this.#and()
    while (this.#take('||')) {
      const [before, after] = [left, this.#and()]
      left = (names) => truth(before(names)) || truth(after(names))
    }
    return left
  }

  #and(): Expression {
    let left = this.#comparison()
    while (this.#take('&&')) {
      const [before, after] = [left, this.#comparison()]
      left = (names) => truth(before(names)) && truth(after(names))
    }
    return left
  }

  #comparison(): Expression {
    const left = this.#unary()
    const operator = ['==', '!=', '<=', '>=', '<', '>'].find((each) => this.#take(each))
    if (operator === undefined) return left
    const right = this.#unary()
    return (names) => compare(operator, left(names), right(names))
  }

  #unary(): Expression {
    if (!this.#take('!')) return this.#member()
    const value = this.#unary()
    return (names) => !truth(value(names))
  }

  #member(): Expression {
    let value = this.#primary()
    while (this.#take('.')) {
      const [of, name] = [value, this.#next()]
      value = this.#take('(') ? this.#macro(of, name) : (names) => field(of(names), name)
    }
    return value
  }

  /** `list.all(x, …)` and `list.exists_one(x, …)`. */
  #macro(list: Expression, name: string): Expression {
    const variable = this.#next()
    this.#expect(',')
    const test = this.ternary()
    this.#expect(')')
    return (names) => {
      const items = list(names)
      if (!Array.isArray(items)) throw new Error(`${name} of what is no list`)
      const fitting = items.filter((item: unknown) => truth(test({ ...names, [variable]: item })))
      if (name === 'all') return fitting.length === items.length
      if (name === 'exists_one') return fitting.length === 1
      throw new Error(`unknown macro ${name}`)
    }
  }

  #primary(): Expression {
    const token = this.#next()
    if (token === '(') {
      const value = this.ternary()
      this.#expect(')')
      return value
    }
    if (token === '[') {
      const items = [this.ternary()]
      while (this.#take(',')) items.push(this.ternary())
      this.#expect(']')
      return (names) => items.map((item) => item(names))
    }
    if (token.startsWith("'")) return () => token.slice(1, -1)
    if (/^\d/.test(token)) return () => Number(token)
    return this.#take('(') ? this.#call(token) : (names) => field(names, token)
  }

  #call(name: string): Expression {
    const argument = this.ternary()
    this.#expect(')')
    if (name === 'has')
      return (names) => {
        try {
          return argument(names) !== undefined
        } catch (error) {
          if (error instanceof NoSuchField) return false
          throw error
        }
      }
    if (name !== 'duration') throw new Error(`unknown function ${name}`)
    return (names) => {
      const ms = parseDuration(String(argument(names)))
      if (ms === undefined) throw new Error('not a duration')
      return ms
    }
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false
    this.#at++
    return true
  }

  #next(): string {
    const token = this.#tokens[this.#at++]
    if (token === undefined) throw new Error('the expression ends early')
    return token
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw new Error(`expected ${token}`)
  }
}

class NoSuchField extends Error {}

function field(of: unknown, name: string): unknown {
  if (typeof of !== 'object' || of === null || !Object.hasOwn(of, name)) throw new NoSuchField(name)
  return (of as Names)[name]
}

function truth(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Error(`expected a bool, found ${typeof value}`)
  return value
}

function compare(operator: string, a: unknown, b: unknown): boolean {
  if (typeof a !== typeof b) throw new Error(`${typeof a} ${operator} ${typeof b}`)
  if (operator === '==') return a === b
  if (operator === '!=') return a !== b
  if (typeof a !== 'number' || typeof b !== 'number') throw new Error(`${operator} of what is no number`)
  return operator === '<=' ? a <= b : operator === '>=' ? a >= b : operator === '<' ? a < b : a > b
}
