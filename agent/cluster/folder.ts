// The state of a manifests folder: which objects are in force, and why others are not. Pure: files come in as texts, in any
// order; objects and problems go out.
//
// An object whose document has become bad stays in force as it was. A document too broken to tell which object it was
// keeps every former object of its file that is not found elsewhere, for it may be any of them.

import type { Problem } from '../model/errors.ts'
import { decodeFile, type DecodedText, type FileDocument } from './documents.ts'
import type { ClusterObject } from './object.ts'
import { oddReferences } from './references.ts'

/** What one look at a file found. */
export type FileReading =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'unreadable'; readonly message: string; readonly line?: number }

interface Held {
  /** Undefined for objects that are read but have no effect. */
  readonly object: ClusterObject | undefined
  /** The file that it came from. */
  readonly file: string
  /** On which its document begins; undefined: its document is not to be found any more. */
  readonly line: number | undefined
}

interface FileState {
  readonly documents: readonly FileDocument[]
  readonly unreadable: Problem | undefined
}

export class Folder {
  readonly #files = new Map<string, FileState>()
  #held: ReadonlyMap<string, Held> = new Map()
  #problems: readonly Problem[] = []

  /** `file` is the name that problems tell and that orders the files; its ending decides the syntax. */
  read(file: string, reading: FileReading): void {
    const before = this.#files.get(file)
    if (reading.kind === 'text') {
      const documents = decodeFile(file, reading.text, byFingerprint(before?.documents ?? []))
      this.#files.set(file, { documents, unreadable: undefined })
      return
    }
    const { message, line } = reading
    const place = line === undefined ? { file } : { file, line }
    const unreadable: Problem = {
      code: 'MANIFEST_UNREADABLE',
      severity: 'error',
      message,
      object: '',
      field: '',
      ...place,
    }
    this.#files.set(file, { documents: [], unreadable })
  }

  remove(file: string): void {
    this.#files.delete(file)
  }

  files(): readonly string[] {
    return [...this.#files.keys()].sort()
  }

  /** Decides anew what is in force after any number of reads and removals. */
  settle(): void {
    const pass = new Pass(this.#held)
    for (const file of this.files()) {
      const state = this.#files.get(file)
      if (state !== undefined) pass.file(file, state)
    }
    this.#held = pass.finish()
    this.#problems = [...pass.toldProblems(), ...this.#oddities()]
  }

  /** They stand beside each other in any files, so that the document's line is all that there is to tell. */
  #oddities(): Problem[] {
    return oddReferences(this.objects()).flatMap((oddity): Problem[] => {
      const held = this.#held.get(oddity.object)
      if (held?.line === undefined) return []
      return [{ severity: 'warning', ...oddity, file: held.file, line: held.line }]
    })
  }

  /** By `Kind namespace/name`. */
  objects(): ReadonlyMap<string, ClusterObject> {
    const objects = new Map<string, ClusterObject>()
    for (const [key, { object }] of this.#held) if (object !== undefined) objects.set(key, object)
    return objects
  }

  /** Objects that are read, those without effect included. */
  count(): number {
    return this.#held.size
  }

  problems(): readonly Problem[] {
    return this.#problems
  }
}

/** One walk over all files in order. */
class Pass {
  readonly #problems: Problem[] = []
  readonly #before: ReadonlyMap<string, Held>
  readonly #now = new Map<string, Held>()
  /** Where the documents of the objects stand, for those that come a second time. */
  readonly #places = new Map<string, string>()
  /** Files with a document that may be any of their former objects. */
  readonly #doubtful = new Set<string>()
  /** Objects in force by a former version, by what tells of them: `file` alone, or `file` and object. */
  readonly #stale = new Map<string, number>()

  constructor(before: ReadonlyMap<string, Held>) {
    this.#before = before
  }

  file(file: string, state: FileState): void {
    if (state.unreadable !== undefined) {
      this.#problems.push(state.unreadable)
      this.#doubtful.add(file)
    }
    for (const document of state.documents) {
      this.#report(file, document)
      for (const item of document.objects) {
        if (item.key === undefined) {
          if (!item.good) this.#doubtful.add(file)
        } else this.#take(item.key, item.good, item.object, `${file}:${document.line}`, file, document.line)
      }
      if (document.objects.length === 0 && document.problems.length > 0) this.#doubtful.add(file)
    }
  }

  finish(): ReadonlyMap<string, Held> {
    for (const [key, held] of this.#before) {
      if (this.#now.has(key) || !this.#doubtful.has(held.file)) continue
      this.#now.set(key, { ...held, line: undefined })
      this.#stale.set(held.file, (this.#stale.get(held.file) ?? 0) + 1)
    }
    return this.#now
  }

  /** To be called after {@link finish}: the first error of an object, or of a file, tells what stays in force. */
  toldProblems(): readonly Problem[] {
    return this.#problems.map((problem) => {
      const { file = '', object, severity, code } = problem
      if (severity !== 'error' || code === 'OBJECT_DUPLICATE') return problem
      const subject = object === '' ? file : `${file} ${object}`
      const stale = this.#stale.get(subject)
      if (stale === undefined) return problem
      this.#stale.delete(subject)
      const what =
        object === ''
          ? `in force as before: ${stale} of the file's objects`
          : 'the object stays in force as before'
      return { ...problem, message: `${problem.message}; ${what}` }
    })
  }

  #take(
    key: string,
    good: boolean,
    object: ClusterObject | undefined,
    place: string,
    file: string,
    line: number,
  ): void {
    const first = this.#places.get(key)
    if (first !== undefined) {
      this.#problems.push({
        code: 'OBJECT_DUPLICATE',
        severity: 'error',
        message: `the same object is already described at ${first}, which is used; expected one document for each object`,
        object: key,
        field: '',
        file,
        line,
      })
      return
    }
    const held = good ? { object } : this.#before.get(key)
    // A bad document without a former version leaves the name to a later good one.
    if (held === undefined) return
    if (!good) this.#stale.set(`${file} ${key}`, 1)
    this.#places.set(key, place)
    this.#now.set(key, { object: held.object, file, line })
  }

  #report(file: string, document: FileDocument): void {
    for (const problem of document.problems) {
      this.#problems.push({ ...problem, file, line: document.line + (problem.line ?? 1) - 1 })
    }
  }
}

function byFingerprint(documents: readonly FileDocument[]): ReadonlyMap<string, DecodedText> {
  return new Map(documents.map((document) => [document.fingerprint, document]))
}
