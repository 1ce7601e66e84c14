// Tells when to look at a folder again. It owns the inotify watch, which follows the folder through removal, creation and
// replacement, and the slow clock beside it; what is in the folder is not its business.

import { watch, type FSWatcher } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Clock } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { Log } from '../model/log.ts'

export interface FolderWatchOptions {
  readonly dir: string
  readonly clock: Clock
  readonly log: Log
  /** Called when something may have changed, and every {@link POLL_MS} all the same. */
  readonly onLook: () => void
}

/** Editors write, rename and touch in a burst; one look after it is enough. */
export const SETTLE_MS = 60
/** What inotify misses is seen after this time, so that any change is live within a second. */
export const POLL_MS = 700

export class FolderWatch {
  readonly #options: FolderWatchOptions
  #watcher: FSWatcher | undefined
  /** Which folder is watched: a name may come to mean another one. */
  #identity = ''
  #cancelPoll = (): void => undefined
  #cancelSettle: (() => void) | undefined
  #stopped = false
  #warned = false

  constructor(options: FolderWatchOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    await this.#follow()
    this.#pollLater()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelPoll()
    this.#cancelSettle?.()
    this.#close()
  }

  #pollLater(): void {
    this.#cancelPoll = this.#options.clock.after(POLL_MS, () => void this.#poll())
  }

  async #poll(): Promise<void> {
    await this.#follow()
    if (this.#stopped) return
    this.#options.onLook()
    this.#pollLater()
  }

  /** Watches the folder that the name means now. Never rejects. */
  async #follow(): Promise<void> {
    const identity = await identityOf(this.#options.dir)
    if (this.#stopped || (identity === this.#identity && this.#watcher !== undefined)) return
    this.#close()
    if (identity === '') return
    try {
      const watcher = watch(this.#options.dir, () => this.#soon())
      watcher.on('error', () => this.#close())
      this.#watcher = watcher
      this.#identity = identity
    } catch (error) {
      // Out of inotify watches, or the folder is gone again: the clock beside it is enough to go on.
      if (!this.#warned)
        this.#options.log.warn({ dir: this.#options.dir, error: messageOf(error) }, WATCH_FAILED)
      this.#warned = true
    }
  }

  #soon(): void {
    if (this.#stopped) return
    this.#cancelSettle ??= this.#options.clock.after(SETTLE_MS, () => {
      this.#cancelSettle = undefined
      this.#options.onLook()
    })
  }

  #close(): void {
    this.#watcher?.close()
    this.#watcher = undefined
    this.#identity = ''
  }
}

const WATCH_FAILED = 'the manifests folder cannot be watched; it is polled instead'

/** Inode numbers are used again at once on some file systems, times of birth are not. */
async function identityOf(dir: string): Promise<string> {
  try {
    const stats = await stat(dir, { bigint: true })
    return `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`
  } catch {
    return ''
  }
}
