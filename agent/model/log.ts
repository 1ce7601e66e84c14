// What the rest of the code may say to the log; observe/log.ts makes one from pino.

export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: { readonly component: string }): Log
}
