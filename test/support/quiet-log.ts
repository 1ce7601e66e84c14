// A log that keeps its lines for assertions instead of printing them.

import type { Log } from '#agent/model/log.ts'

export interface QuietLog extends Log {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[]
}

export function quietLog(): QuietLog {
  const lines: QuietLog['lines'] = []
  const write =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push({ level, message, fields })
    }
  const log: QuietLog = {
    lines,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  }
  return log
}
