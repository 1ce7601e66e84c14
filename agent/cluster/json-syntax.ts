// Where and why a text is not JSON. JSON.parse decides that it is not; its own messages often lack the place.

export interface JsonMistake {
  readonly offset: number
  /** What was expected there, and what was found. */
  readonly message: string
}

type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or }' | ', or ]' | 'end'

/** The first mistake; undefined for a text without one. */
export function jsonMistake(text: string): JsonMistake | undefined {
  const open: ('{' | '[')[] = []
  let expected: Expected = 'value'
  for (let at = 0; ;) {
    TOKEN.lastIndex = at
    const token = TOKEN.exec(text)?.[0]?.trimStart() ?? ''
    const end = TOKEN.lastIndex
    const next: Expected | undefined = token === '' ? undefined : follow(token, expected, open)
    if (next === undefined)
      return expected === 'end' && isBlank(text, at) ? undefined : mistake(text, at, expected)
    expected = next
    at = end
  }
}

const TOKEN =
  /[ \t\r\n]*(?:[{}[\]:,]|true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|"(?:[ !#-[\]-\u{10ffff}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")/uy

/** What may come after the token; undefined if the token may not stand there. */
function follow(token: string, expected: Expected, open: ('{' | '[')[]): Expected | undefined {
  if (token === ':') return expected === ':' ? 'value' : undefined
  if (token === ',') {
    if (expected === ', or }') return 'key'
    return expected === ', or ]' ? 'value' : undefined
  }
  if (token === '}' || token === ']') {
    if (!expected.endsWith(token)) return undefined
    open.pop()
    return afterValue(open)
  }
  if (expected === 'key' || expected === 'key or }') return token.startsWith('"') ? ':' : undefined
  if (expected !== 'value' && expected !== 'value or ]') return undefined
  if (token !== '{' && token !== '[') return afterValue(open)
  open.push(token)
  return token === '{' ? 'key or }' : 'value or ]'
}

function afterValue(open: readonly ('{' | '[')[]): Expected {
  const innermost = open.at(-1)
  if (innermost === undefined) return 'end'
  return innermost === '{' ? ', or }' : ', or ]'
}

const SAID: Readonly<Record<Expected, string>> = {
  value: 'a value',
  'value or ]': 'a value or ]',
  key: 'a quoted key',
  'key or }': 'a quoted key or }',
  ':': 'a colon',
  ', or }': 'a comma or }',
  ', or ]': 'a comma or ]',
  end: 'nothing more',
}

function mistake(text: string, at: number, expected: Expected): JsonMistake {
  const rest = text.slice(at, at + 2000)
  const offset = at + rest.length - rest.trimStart().length
  const found = /^(?:["\w.+-]+|.)/.exec(rest.trimStart())?.[0]
  const said = found === undefined ? 'the end of the file' : found.slice(0, 30)
  return {
    offset: found === undefined ? text.trimEnd().length : offset,
    message: `expected ${SAID[expected]}, found ${said}`,
  }
}

function isBlank(text: string, from: number): boolean {
  return /^[ \t\r\n]*$/.test(text.slice(from))
}
