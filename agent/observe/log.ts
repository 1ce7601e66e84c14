// The log: one JSON document a line for machines, or coloured lines for a person at a terminal. Written at once and
// to standard error, so that the last line before a crash is not lost and data on standard output stays clean.

import { pino, type DestinationStream, type Logger } from 'pino'
import { PinoPretty } from 'pino-pretty'
import type { Log } from '../model/log.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** `auto`: pretty if standard error is a terminal. */
export type LogFormat = 'json' | 'pretty' | 'auto'

export const LOG_FORMATS: readonly LogFormat[] = ['json', 'pretty', 'auto']

export interface LogOptions {
  readonly level: LogLevel
  readonly format: LogFormat
  /** `agent`, `proxy` or `supervisor`: the field that tells their lines apart in one stream. */
  readonly process: string
  /** Where lines go instead of standard error; the format `auto` is then `json`. */
  readonly to?: DestinationStream
}

export function createLog(options: LogOptions): Log {
  const logger = pino(
    {
      level: options.level,
      base: { process: options.process },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: errorFields },
    },
    destination(options),
  )
  return wrap(logger)
}

function destination(options: LogOptions): DestinationStream {
  const terminal = options.to === undefined && process.stderr.isTTY
  const pretty = options.format === 'pretty' || (options.format === 'auto' && terminal)
  if (!pretty) return options.to ?? pino.destination({ fd: 2, sync: true })
  return PinoPretty({
    destination: options.to === undefined ? 2 : writable(options.to),
    sync: true,
    colorize: terminal,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname,process,component',
    messageFormat: '{process}{if component}/{component}{end} {msg}',
  })
}

/** pino-pretty wants a stream; a test gives something that has write() alone. */
function writable(to: DestinationStream): NodeJS.WritableStream {
  return to as unknown as NodeJS.WritableStream
}

function wrap(logger: Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => wrap(logger.child(fields)),
  }
}

/** Message, code and hint of what was thrown, with the chain of causes; the stack only for bugs. */
function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { code, hint } = error as { code?: unknown; hint?: unknown }
  return {
    message: error.message,
    ...(typeof code === 'string' ? { code } : { stack: error.stack }),
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(error.cause === undefined ? {} : { cause: errorFields(error.cause) }),
  }
}
