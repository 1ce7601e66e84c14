// Writes lines to a descriptor in the background, in large pieces: no slow disk and no reader that stopped holds the
// writer of a line up. The buffer is bounded; what does not fit is dropped, and whoever made the writer hears of it.

import { closeSync, write } from 'node:fs'
import type { Clock } from '../model/clock.ts'

export interface LineWriterOptions {
  readonly clock: Clock
  /** So many lines were dropped. */
  readonly onDrop: (lines: number) => void
  /** No space, a closed pipe. What is buffered is tried again later. */
  readonly onError: (error: Error) => void
  /** The descriptor is closed at the end. */
  readonly isOwned: boolean
  readonly maxBufferedBytes: number
}

/** Not worth a system call of its own before the interval is over. */
const WORTH_WRITING_BYTES = 8 * 1024
const INTERVAL_MS = 250
const CLOSE_TIMEOUT_MS = 1_000

export class LineWriter {
  readonly #fd: number
  readonly #options: LineWriterOptions
  #lines: string[] = []
  #lineBytes = 0
  /** What the kernel has not taken yet of the piece that is being written. */
  #piece = Buffer.alloc(0)
  #pieceLines = 0
  #isWriting = false
  #cancelTimer: (() => void) | undefined
  #onEmpty: (() => void) | undefined
  #isClosed = false

  constructor(fd: number, options: LineWriterOptions) {
    this.#fd = fd
    this.#options = options
  }

  /** `line` ends with a line break. */
  write(line: string): void {
    const sizeBytes = Buffer.byteLength(line)
    if (this.#isClosed || this.#piece.length + this.#lineBytes + sizeBytes > this.#options.maxBufferedBytes) {
      this.#options.onDrop(1)
      return
    }
    this.#lines.push(line)
    this.#lineBytes += sizeBytes
    if (this.#isWriting) return
    if (this.#lineBytes >= WORTH_WRITING_BYTES && this.#piece.length === 0) this.#writeNext()
    else this.#writeLater()
  }

  /** Writes what is buffered, for a second at most, and drops the rest. */
  async close(): Promise<void> {
    this.#isClosed = true
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onEmpty = resolve
    const cancel = this.#options.clock.after(CLOSE_TIMEOUT_MS, resolve)
    if (!this.#isWriting) this.#writeNext()
    await promise
    cancel()
    this.#cancelTimer?.()
    const left = this.#lines.length + this.#pieceLines
    if (left > 0) this.#options.onDrop(left)
    // A write that hangs still holds the descriptor.
    if (this.#options.isOwned && !this.#isWriting) closeSync(this.#fd)
  }

  #writeLater(): void {
    this.#cancelTimer ??= this.#options.clock.after(INTERVAL_MS, () => this.#writeNext())
  }

  #writeNext(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#piece.length === 0) this.#nextPiece()
    if (this.#piece.length === 0) {
      this.#onEmpty?.()
      return
    }
    this.#isWriting = true
    write(this.#fd, this.#piece, (error, written) => {
      this.#isWriting = false
      if (error === null) this.#wrote(written)
      else this.#failed(error)
    })
  }

  #nextPiece(): void {
    this.#piece = Buffer.from(this.#lines.join(''))
    this.#pieceLines = this.#lines.length
    this.#lines = []
    this.#lineBytes = 0
  }

  #wrote(written: number): void {
    this.#piece = this.#piece.subarray(written)
    if (this.#piece.length === 0) this.#pieceLines = 0
    const isWorthIt = this.#piece.length > 0 || this.#lineBytes >= WORTH_WRITING_BYTES
    if (isWorthIt || this.#isClosed) this.#writeNext()
    else if (this.#lineBytes > 0) this.#writeLater()
  }

  /** A pipe that is full (EAGAIN) is no error: lines are dropped if it stays so. */
  #failed(error: NodeJS.ErrnoException): void {
    if (error.code !== 'EAGAIN') this.#options.onError(error)
    this.#writeLater()
  }
}
