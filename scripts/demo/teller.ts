// Tells the story on the terminal: chapters, the commands that an operator would type, their output, and a check mark
// or a failure for everything that the chapter claims.

import { styleText } from 'node:util'

export interface Teller {
  chapter(title: string): void
  say(text: string): void
  /** A command line as typed at a place, and what it printed. */
  command(place: string, line: string, output: string): void
  /** A claim and whether it holds; the evidence is printed beside it. */
  check(claim: string, holds: boolean, evidence?: string): void
  /** Claims that did not hold. */
  failures(): readonly string[]
}

/** Of the output of one command. */
const MOST_LINES = 30

type Style = Parameters<typeof styleText>[0]

/** @param write takes whole lines without the line end */
export function createTeller(write: (line: string) => void): Teller {
  const failed: string[] = []
  const startedMs = performance.now()
  const paint = (style: Style, text: string): string => styleText(style, text, { stream: process.stdout })
  return {
    chapter: (title) => {
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
      write('')
      write(`${paint('bold', title)} ${paint('dim', `${seconds} s`)}`)
    },
    say: (text) => write(`  ${text}`),
    command: (place, line, output) => {
      write(`  ${paint('cyan', `${place}$`)} ${line}`)
      const lines = output.trimEnd() === '' ? [] : output.trimEnd().split('\n')
      for (const printed of lines.slice(0, MOST_LINES)) write(paint('dim', `    ${printed}`))
      if (lines.length > MOST_LINES) write(paint('dim', `    … and ${lines.length - MOST_LINES} more lines`))
    },
    check: (claim, holds, evidence = '') => {
      if (!holds) failed.push(claim)
      const mark = holds ? paint('green', '✔') : paint('red', '✘')
      write(`  ${mark} ${claim}${evidence === '' ? '' : paint('dim', ` (${evidence})`)}`)
    },
    failures: () => failed,
  }
}
