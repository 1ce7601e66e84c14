// What a read keeps of a chain when there are too many: a digest is enough to tell whether the chain is as wanted.

import { hash } from 'node:crypto'

const MARK = '#'

/** Cannot be taken for lines: those begin with a dash. */
export function digestOf(lines: string): string {
  return lines === '' ? '' : MARK + hash('sha256', lines, 'base64')
}

/** True if the chain that was read has these lines; undefined: there is no such chain. */
export function sameLines(read: string | undefined, lines: string): boolean {
  return read === lines || (read?.startsWith(MARK) === true && read === digestOf(lines))
}
