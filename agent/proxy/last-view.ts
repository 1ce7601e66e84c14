// The last view on disk: a proxy that starts while no agent runs serves it at once. Written beside and renamed, so that
// a crash leaves the old or the new one; bursts of changes become one write.

import { open, readFile, rename, stat, unlink } from 'node:fs/promises'
import type { Clock } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { Log } from '../model/log.ts'
import type { ProxyView } from './decision/view.ts'
import { checkView } from './decision/view-check.ts'

export type LoadedView =
  | { readonly kind: 'loaded'; readonly view: ProxyView }
  /** The file is not there. */
  | { readonly kind: 'none' }
  | { readonly kind: 'bad'; readonly reasons: readonly string[] }

/** A view of 10,000 Services with 10 endpoints each is some 8 MB. */
const SIZE_LIMIT_BYTES = 256 * 1024 * 1024
const COALESCE_MS = 200

/** Never rejects. */
export async function loadLastView(path: string): Promise<LoadedView> {
  try {
    const { size } = await stat(path)
    if (size > SIZE_LIMIT_BYTES) return { kind: 'bad', reasons: [`the file has ${size} bytes`] }
    const checked = checkView(JSON.parse(await readFile(path, 'utf8')))
    return checked.kind === 'ok' ? { kind: 'loaded', view: checked.value } : checked
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    return missing ? { kind: 'none' } : { kind: 'bad', reasons: [messageOf(error)] }
  }
}

export class LastView {
  readonly #path: string
  readonly #clock: Clock
  readonly #log: Log
  #next: ProxyView | undefined
  #cancelTimer: (() => void) | undefined
  #writing: Promise<void> = Promise.resolve()
  #lastError = ''

  constructor(path: string, clock: Clock, log: Log) {
    this.#path = path
    this.#clock = clock
    this.#log = log
  }

  /** Why the last write failed; '' if it did not. */
  get problem(): string {
    return this.#lastError
  }

  /** Soon; a later view takes its place. */
  save(view: ProxyView): void {
    this.#next = view
    this.#cancelTimer ??= this.#clock.after(COALESCE_MS, () => {
      this.#cancelTimer = undefined
      void this.flush()
    })
  }

  /** Writes what waits, and resolves when it is on the disk. Never rejects. */
  async flush(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    await this.#writing
  }

  async #write(): Promise<void> {
    const view = this.#next
    if (view === undefined) return
    this.#next = undefined
    const beside = `${this.#path}.new`
    try {
      const file = await open(beside, 'w', 0o600)
      try {
        await file.writeFile(JSON.stringify(view))
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(beside, this.#path)
      this.#lastError = ''
    } catch (error) {
      this.#lastError = messageOf(error)
      this.#log.warn({ error, path: this.#path }, 'the last view could not be saved')
      await unlink(beside).catch(() => {})
    }
  }
}
