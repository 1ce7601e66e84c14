// The text of a manifest file taken apart into documents, each parsed and decoded by itself, so that a bad one spoils none
// of its neighbours. Documents whose text has not changed since the last reading are not read again.

import { hash } from 'node:crypto'
import type { Problem } from '../model/errors.ts'
import { decodeDocument, type DecodedObject } from './decode/document.ts'
import { parsePath } from './decode/place.ts'
import { parseJsonText, parseText, type ParsedText } from './yaml.ts'

/** One document of a file. Lines are relative to it: 1 is its first. */
export interface DecodedText {
  readonly objects: readonly DecodedObject[]
  readonly problems: readonly Problem[]
}

export interface FileDocument extends DecodedText {
  /** 1-based line of the file on which the document begins. */
  readonly line: number
  readonly fingerprint: string
}

/** By fingerprint; an earlier reading of the same file. */
export type KnownTexts = ReadonlyMap<string, DecodedText>

/** `name` decides the syntax: `.json` is JSON, all else YAML, of which JSON is a part. Never throws. */
export function decodeFile(name: string, text: string, known: KnownTexts = new Map()): FileDocument[] {
  const json = name.endsWith('.json')
  const documents: FileDocument[] = []
  for (const part of json ? [{ text, line: 1 }] : splitDocuments(text)) {
    if (part.text.trim() === '') continue
    const fingerprint = hash('sha1', part.text, 'base64')
    const decoded =
      known.get(fingerprint) ?? decodeText(json ? parseJsonText(part.text) : parseText(part.text))
    documents.push({ ...decoded, line: part.line, fingerprint })
  }
  return documents
}

/**
 * Document markers stand at the beginning of a line and end whatever was open, quoted texts and block texts too, so that
 * they can be found without parsing.
 */
export function* splitDocuments(text: string): Generator<{ readonly text: string; readonly line: number }> {
  let start = 0
  let line = 1
  for (const marker of text.matchAll(/^(?:---|\.\.\.)(?=\s|$)/gm)) {
    if (marker.index > start) {
      const part = text.slice(start, marker.index)
      if (hasContent(part)) yield { text: part, line }
      line += countLines(part)
    }
    // `---` belongs to its document, because content may follow on its line; `...` ends one and belongs to none.
    start = marker[0] === '---' ? marker.index : marker.index + marker[0].length
  }
  const rest = text.slice(start)
  if (hasContent(rest)) yield { text: rest, line }
}

/** More than the marker, comments, directives and blank lines. */
function hasContent(part: string): boolean {
  return /^(?:---[ \t]+)?[ \t]*[^\s#%-]|^[ \t]*-(?!--(?:\s|$))/m.test(part)
}

/** A List with thousands of bad items is understood after as many. */
const MOST_PROBLEMS = 500

function decodeText(parsed: ParsedText): DecodedText {
  if (parsed.kind === 'flaw') {
    const { message, line } = parsed
    return {
      objects: [],
      problems: [{ code: 'MANIFEST_SYNTAX', severity: 'error', message, object: '', field: '', line }],
    }
  }
  const objects = decodeDocument(parsed.value)
  const problems = objects.flatMap((object) => object.problems)
  const told = problems.slice(0, MOST_PROBLEMS)
  if (problems.length > told.length) {
    const message = `${problems.length - told.length} more problems of this document are not listed`
    told.push({ code: 'OBJECT_INVALID', severity: 'warning', message, object: '', field: '' })
  }
  return {
    objects,
    problems: told.map((problem) => ({ ...problem, line: parsed.lineOf(parsePath(problem.field)) })),
  }
}

function countLines(text: string): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines++
  return lines
}
