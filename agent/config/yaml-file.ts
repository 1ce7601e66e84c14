// One YAML configuration file: read with limits, and with the line of every field for messages.

import { readFile, stat } from 'node:fs/promises'
import { isMap, isNode, LineCounter, parseDocument, type Document } from 'yaml'
import { messageOf, ShuntError, type Problem } from '../model/errors.ts'

export const MAX_CONFIG_BYTES = 1024 * 1024

export type YamlMap = Readonly<Record<string, unknown>>

export interface YamlFile {
  readonly file: string
  readonly root: YamlMap
  /** A problem with the field at the path, with its line. */
  problem(severity: Problem['severity'], path: readonly string[], message: string): Problem
}

/** Throws ShuntError CONFIG_INVALID if the file cannot be read or is no YAML map. */
export async function readYamlFile(file: string): Promise<YamlFile> {
  const refuse = (what: string, cause?: unknown): ShuntError =>
    new ShuntError('CONFIG_INVALID', `${file}: ${what}`, { cause })
  let text: string
  try {
    const { size } = await stat(file)
    if (size > MAX_CONFIG_BYTES) throw refuse(`larger than ${MAX_CONFIG_BYTES} bytes`)
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file))
  } catch (error) {
    if (error instanceof ShuntError) throw error
    throw refuse(
      error instanceof TypeError ? 'is not UTF-8 text' : `cannot be read: ${messageOf(error)}`,
      error,
    )
  }
  return parseYaml(file, text)
}

/** The same for text in hand. */
export function parseYaml(file: string, text: string): YamlFile {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2' })
  const broken = document.errors[0]
  if (broken !== undefined) {
    const { line } = lines.linePos(broken.pos[0])
    throw new ShuntError('CONFIG_INVALID', `${file}:${line}: ${broken.message.split('\n')[0] ?? 'not YAML'}`)
  }
  if (!isMap(document.contents))
    throw new ShuntError('CONFIG_INVALID', `${file}: expected a map with apiVersion and kind`)
  let root: YamlMap
  try {
    // Few aliases are needed by hand-written files; the limit stops documents that multiply themselves.
    root = document.toJS({ maxAliasCount: 20 }) as YamlMap
  } catch (error) {
    throw new ShuntError('CONFIG_INVALID', `${file}: ${messageOf(error)}`)
  }
  return {
    file,
    root,
    problem: (severity, path, message) => ({
      code: severity === 'error' ? 'CONFIG_INVALID' : 'FIELD_UNKNOWN',
      severity,
      message,
      object: '',
      field: path.join('.'),
      file,
      ...lineOf(document, lines, path),
    }),
  }
}

/** True for a map of fields, false for lists and scalars. */
export function isYamlMap(value: unknown): value is YamlMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The line of the key at the path, or of the nearest parent that is there. */
function lineOf(document: Document, lines: LineCounter, path: readonly string[]): { line?: number } {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    if (!isMap(parent)) continue
    const pair = parent.items.find((item) => isNode(item.key) && String(item.key) === path[length - 1])
    const start = pair !== undefined && isNode(pair.key) ? pair.key.range?.[0] : undefined
    if (start !== undefined) return { line: lines.linePos(start).line }
  }
  return {}
}
