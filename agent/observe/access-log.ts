// One line for each connection or request that is over: JSON by pino, or text for a person at a terminal.

import { openSync } from 'node:fs'
import { isatty } from 'node:tty'
import { pino } from 'pino'
import type { Clock } from '../model/clock.ts'
import { messageOf, ShuntError } from '../model/errors.ts'
import { LineWriter, type LineWriterOptions } from './line-writer.ts'

export type AccessLogPlace =
  | { readonly kind: 'stdout' | 'stderr' }
  | { readonly kind: 'file'; readonly path: string }

export interface AccessLogOptions extends Pick<LineWriterOptions, 'onDrop' | 'onError'> {
  readonly clock: Clock
  /** `auto`: text if the place is a terminal. */
  readonly format?: 'json' | 'text' | 'auto'
  /** Default: 8 MiB, some seconds of 5,000 connections a second. */
  readonly maxBufferedBytes?: number
}

export interface AccessLog {
  /** `text` makes the line for a person; the time is put in front of it. */
  write(fields: object, text: () => string): void
  /** Writes what is buffered, for a second at most. */
  close(): Promise<void>
}

const MAX_BUFFERED_BYTES = 8 * 1024 * 1024
/** The owner's and its group's: it tells who talks to whom. */
const FILE_MODE = 0o640

/** The file is opened here and now, before root is given up. Throws NOT_PERMITTED if that fails. */
export function openAccessLog(place: AccessLogPlace, options: AccessLogOptions): AccessLog {
  const fd = descriptorOf(place)
  const writer = new LineWriter(fd, {
    ...options,
    isOwned: place.kind === 'file',
    maxBufferedBytes: options.maxBufferedBytes ?? MAX_BUFFERED_BYTES,
  })
  const isText = options.format === 'text' || (options.format !== 'json' && isatty(fd))
  // `log` tells the lines from the process's own where both go to one stream; level and host would always be the same.
  const logger = pino(
    { base: null, timestamp: false, formatters: { level: () => ({ log: 'access' }) } },
    writer,
  )
  return {
    write(fields, text) {
      const now = new Date(options.clock.wallMs())
      if (isText) writer.write(`${timeOfDay(now)} ${text()}\n`)
      else logger.info({ time: now.toISOString(), ...fields })
    },
    close: () => writer.close(),
  }
}

/** Of this place, as the process's own log has it at a terminal: `14:03:07.250`. */
function timeOfDay(time: Date): string {
  return `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, '0')}`
}

function descriptorOf(place: AccessLogPlace): number {
  if (place.kind !== 'file') return place.kind === 'stdout' ? 1 : 2
  try {
    return openSync(place.path, 'a', FILE_MODE)
  } catch (error) {
    throw new ShuntError('NOT_PERMITTED', `the access log cannot be opened: ${messageOf(error)}`, {
      hint: 'create its folder, or choose another place with --access-log',
    })
  }
}
