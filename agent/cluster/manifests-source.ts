// The manifests folder as a live source. Whatever happens to the folder, what was good stays in force until its documents
// are seen to be gone: a folder that cannot be listed, a file that cannot be read and a bad document change nothing.

import { join } from 'node:path'
import type { Clock } from '../model/clock.ts'
import { messageOf, type Problem } from '../model/errors.ts'
import type { Log } from '../model/log.ts'
import type { Snapshot } from '../plan/snapshot.ts'
import { equal } from './equal.ts'
import { FolderWatch } from './folder-watch.ts'
import { Folder } from './folder.ts'
import { listFolder, readManifest, type FileAtRest } from './manifest-file.ts'
import type { Source } from './source.ts'
import { Store } from './store.ts'

export interface ManifestsOptions {
  readonly dir: string
  /** The Node object of this name goes into the Snapshot. */
  readonly nodeName: string
  readonly clock: Clock
  readonly log: Log
}

/** A file that vanished or became empty is looked at again after this time, because editors do both while they save. */
const RECHECK_MS = 300

export class ManifestsSource implements Source {
  readonly #options: ManifestsOptions
  readonly #folder = new Folder()
  readonly #store: Store
  readonly #watch: FolderWatch
  readonly #listeners = new Set<() => void>()
  /** By path, as of the last reading. */
  readonly #stamps = new Map<string, string>()
  /** Files that were gone, empty or being written at the last look, and since when, by the monotonic clock. */
  #doubted: ReadonlyMap<string, number> = new Map()
  #problems: readonly Problem[] = []
  #looking: Promise<void> | undefined
  #lookAgain = false
  #cancelRecheck: (() => void) | undefined
  #stopped = false

  constructor(options: ManifestsOptions) {
    this.#options = options
    this.#store = new Store({ nodeName: options.nodeName, awaits: [FOLDER] })
    this.#watch = new FolderWatch({ ...options, onLook: () => void this.#look() })
  }

  /** Resolves after the first look; the folder may come into being later. Never rejects. */
  async start(): Promise<void> {
    await this.#watch.start()
    await this.#look()
  }

  stop(): void {
    this.#stopped = true
    this.#watch.stop()
    this.#cancelRecheck?.()
  }

  snapshot(): Snapshot {
    return this.#store.snapshot()
  }

  problems(): readonly Problem[] {
    return this.#problems
  }

  synced(): boolean {
    return this.#store.synced()
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** One look at a time; a call during one makes another follow. */
  #look(): Promise<void> {
    if (this.#looking !== undefined) {
      this.#lookAgain = true
      return this.#looking
    }
    this.#looking = this.#lookUntilQuiet().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #lookUntilQuiet(): Promise<void> {
    do {
      this.#lookAgain = false
      await this.#lookOnce()
    } while (this.#lookAgain && !this.#stopped)
  }

  async #lookOnce(): Promise<void> {
    let files: readonly FileAtRest[]
    try {
      files = await listFolder(this.#options.dir)
    } catch (error) {
      this.#conclude([folderProblem(this.#options.dir, error)])
      return
    }
    const { changed, doubted } = await this.#readChanged(files)
    if (this.#stopped) return
    this.#doubted = doubted
    if (doubted.size > 0) this.#recheckLater()
    if (changed) {
      this.#folder.settle()
      this.#store.replaceAll(this.#folder.objects())
    }
    const first = !this.#store.synced()
    // A file that could not be read at the first look may hold anything; what is known without it must not be acted on.
    if (doubted.size === 0) this.#store.markSynced(FOLDER)
    if (changed || first || this.#problems !== this.#folder.problems()) {
      this.#conclude(this.#folder.problems(), changed || first)
    }
  }

  async #readChanged(
    files: readonly FileAtRest[],
  ): Promise<{ changed: boolean; doubted: Map<string, number> }> {
    const nowMs = this.#options.clock.monotonicMs()
    const doubted = new Map<string, number>()
    const doubt = (path: string): void => void doubted.set(path, this.#doubted.get(path) ?? nowMs)
    const certain = (path: string): boolean => nowMs - (this.#doubted.get(path) ?? nowMs) >= RECHECK_MS
    const present = new Set<string>()
    let changed = false
    for (const { name, stamp } of files) {
      const path = join(this.#options.dir, name)
      present.add(path)
      if (this.#stamps.get(path) === stamp) continue
      const look = await readManifest(path)
      const empty = look.kind === 'text' && look.text.trim() === '' && this.#stamps.has(path)
      if (look.kind === 'gone') present.delete(path)
      else if (look.kind === 'torn' || (empty && !certain(path))) doubt(path)
      else {
        this.#folder.read(path, look)
        this.#stamps.set(path, stamp)
        changed = true
      }
    }
    for (const path of this.#folder.files()) {
      if (present.has(path)) continue
      if (certain(path)) {
        this.#folder.remove(path)
        this.#stamps.delete(path)
        changed = true
      } else doubt(path)
    }
    return { changed, doubted }
  }

  #recheckLater(): void {
    this.#cancelRecheck?.()
    this.#cancelRecheck = this.#options.clock.after(RECHECK_MS, () => void this.#look())
  }

  #conclude(problems: readonly Problem[], changed = false): void {
    const same = equal(this.#problems, problems)
    this.#problems = problems
    if (same && !changed) return
    this.#options.log.info(
      { objects: this.#folder.count(), problems: problems.length, generation: this.snapshot().generation },
      'manifests read',
    )
    for (const listener of this.#listeners) listener()
  }
}

/** The one part that the store waits for. */
const FOLDER = 'folder'

function folderProblem(dir: string, error: unknown): Problem {
  return {
    code: 'MANIFEST_UNREADABLE',
    severity: 'error',
    message: `the manifests folder cannot be listed: ${messageOf(error)}`,
    object: '',
    field: '',
    file: dir,
  }
}
