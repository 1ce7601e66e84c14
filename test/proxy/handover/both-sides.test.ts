// Both machines against each other, with every message delayed, either process killed, told to stop or stalled at any
// point: somebody always accepts, and nobody accepts who must not.

import test from 'ava'
import * as fc from 'fast-check'
import {
  HANDOVER_VERSION,
  type Hello,
  type PredecessorMessage,
  type SuccessorMessage,
} from '#agent/proxy/handover/messages.ts'
import {
  stepPredecessor,
  type PredecessorEvent,
  type PredecessorState,
} from '#agent/proxy/handover/predecessor-state.ts'
import {
  stepSuccessor,
  type SuccessorEvent,
  type SuccessorState,
} from '#agent/proxy/handover/successor-state.ts'

const MOVES = [
  'deliver to predecessor',
  'deliver to successor',
  'prepared',
  'accepting',
  'unable',
  'kill predecessor',
  'kill successor',
  'predecessor late',
  'successor late',
  'stop predecessor',
  'another hello',
] as const
type Move = (typeof MOVES)[number]

/** Those that a hand-over without accidents consists of. */
const ORDERLY: readonly Move[] = ['deliver to predecessor', 'deliver to successor', 'prepared', 'accepting']

class World {
  predecessor: PredecessorState = { kind: 'serving' }
  successor: SuccessorState = { kind: 'calling' }
  predecessorLives = true
  successorLives = true
  predecessorAccepts = true
  successorAccepts = false
  stopped = false
  toldToGo = false
  refusedOthers: string[] = []
  readonly #toPredecessor: (SuccessorMessage | 'gone')[] = [hello(2)]
  readonly #toSuccessor: (PredecessorMessage | 'lost')[] = []
  #predecessorArmed = false
  #successorArmed = true
  #preparing = false
  #beginning = false

  move(move: Move): void {
    switch (move) {
      case 'deliver to predecessor': {
        const message = this.#toPredecessor.shift()
        if (message === 'gone') this.#stepPredecessor({ kind: 'gone', by: 1 })
        else if (message?.kind === 'hello')
          this.#stepPredecessor({ kind: 'greeted', by: 1, hello: message, here: true })
        else if (message !== undefined) this.#stepPredecessor({ kind: 'said', by: 1, message })
        break
      }
      case 'deliver to successor': {
        const message = this.#toSuccessor.shift()
        if (message === 'lost') this.#stepSuccessor({ kind: 'lost' })
        else if (message !== undefined) this.#stepSuccessor({ kind: 'heard', message })
        break
      }
      case 'prepared':
        if (this.#preparing) this.#stepSuccessor({ kind: 'prepared' })
        this.#preparing = false
        break
      case 'accepting':
        if (this.#beginning) this.#stepSuccessor({ kind: 'accepting' })
        this.#beginning = false
        break
      case 'unable':
        if (this.#preparing) this.#stepSuccessor({ kind: 'unable', because: 'no view' })
        this.#preparing = false
        break
      case 'kill predecessor':
        if (this.predecessorLives) this.#toSuccessor.push('lost')
        this.predecessorLives = false
        this.predecessorAccepts = false
        break
      case 'kill successor':
        this.#endSuccessor()
        break
      case 'predecessor late':
        if (this.#predecessorArmed) this.#stepPredecessor({ kind: 'late' })
        break
      case 'successor late':
        if (this.#successorArmed) this.#stepSuccessor({ kind: 'late' })
        break
      case 'stop predecessor':
        this.stopped = true
        this.#stepPredecessor({ kind: 'stop' })
        break
      case 'another hello':
        this.#stepPredecessor({ kind: 'greeted', by: 9, hello: hello(9), here: true })
        // It changes its mind at once, so that it never gets in the way of the first.
        this.#stepPredecessor({ kind: 'gone', by: 9 })
    }
  }

  #endSuccessor(): void {
    if (this.successorLives) this.#toPredecessor.push('gone')
    this.successorLives = false
    this.successorAccepts = false
  }

  #stepPredecessor(event: PredecessorEvent): void {
    if (!this.predecessorLives) return
    const { state, effects } = stepPredecessor(this.predecessor, event)
    this.predecessor = state
    for (const effect of effects) {
      if (effect.kind === 'arm') this.#predecessorArmed = true
      if (effect.kind === 'disarm') this.#predecessorArmed = false
      if (effect.kind === 'refuse' && effect.to === 9) this.refusedOthers.push(effect.because)
      if (!('to' in effect) || effect.to !== 1) continue
      if (effect.kind === 'grant')
        this.#toSuccessor.push({ kind: 'granted', version: 1, pid: 1, sockets: [], last: true })
      if (effect.kind === 'refuse')
        this.#toSuccessor.push({ kind: 'refused', version: 1, pid: 1, because: effect.because })
      if (effect.kind === 'describe') this.#toSuccessor.push({ kind: 'described' })
      if (effect.kind === 'go') {
        this.toldToGo = true
        this.#toSuccessor.push({ kind: 'go' })
      }
      if (effect.kind === 'cancel')
        this.#toSuccessor.push({ kind: 'cancelled', because: effect.because }, 'lost')
      if (effect.kind === 'retire') {
        this.predecessorAccepts = false
        this.#toSuccessor.push({ kind: 'draining', pid: 1, connections: 0, sinceMs: 0, untilMs: null })
      }
    }
  }

  #stepSuccessor(event: SuccessorEvent): void {
    if (!this.successorLives) return
    const { state, effects } = stepSuccessor(this.successor, event)
    this.successor = state
    for (const effect of effects) {
      if (effect.kind === 'arm') this.#successorArmed = true
      if (effect.kind === 'disarm') this.#successorArmed = false
      if (effect.kind === 'tell') this.#toPredecessor.push({ kind: effect.message })
      if (effect.kind === 'prepare') this.#preparing = true
      if (effect.kind === 'accept') {
        this.#beginning = true
        this.successorAccepts = true
      }
      if (effect.kind === 'fail') {
        if (effect.because.kind === 'own' || effect.because.kind === 'silent')
          this.#toPredecessor.push({ kind: 'failed', because: effect.because.kind })
        this.#endSuccessor()
      }
    }
  }
}

function hello(pid: number): Hello {
  return { kind: 'hello', version: HANDOVER_VERSION, pid, netns: 5 }
}

const arbitraryMove = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...ORDERLY) },
  { weight: 1, arbitrary: fc.constantFrom(...MOVES) },
)

test('without accidents the successor serves and the predecessor has retired', (t) => {
  const world = new World()
  for (let i = 0; i < 10; i++) for (const move of ORDERLY) world.move(move)
  t.like(world, { predecessorAccepts: false, successorAccepts: true })
  t.is(world.predecessor.kind, 'retired')
  t.is(world.successor.kind, 'serving')
})

test('whatever happens: somebody who lives accepts, unless both were ended or told to stop', (t) => {
  fc.assert(
    fc.property(fc.array(arbitraryMove, { maxLength: 60 }), (moves) => {
      const world = new World()
      for (const move of moves) {
        world.move(move)
        if (world.predecessorLives && !world.stopped && world.predecessor.kind !== 'retired')
          t.true(world.predecessorAccepts, `after ${move} the predecessor lives and does not accept`)
        if (world.predecessor.kind === 'retired' && world.successorLives && !world.stopped)
          t.true(
            world.successorAccepts,
            `after ${move} the predecessor retired before the successor accepted`,
          )
        if (world.successorAccepts)
          t.true(
            world.toldToGo || !world.predecessorLives,
            `after ${move} the successor accepts without having been told to`,
          )
      }
      return true
    }),
    { numRuns: 2_000 },
  )
})

test('once all messages have arrived, one of them serves or both are gone', (t) => {
  fc.assert(
    fc.property(fc.array(arbitraryMove, { maxLength: 40 }), (moves) => {
      const world = new World()
      for (const move of moves) world.move(move)
      for (let i = 0; i < 20; i++) for (const move of ORDERLY) world.move(move)
      const predecessorServes = world.predecessorLives && world.predecessor.kind === 'serving'
      const successorServes = world.successorLives && world.successor.kind === 'serving'
      const bothEnded =
        !world.successorLives && (!world.predecessorLives || world.predecessor.kind === 'retired')
      t.true(
        predecessorServes || successorServes || bothEnded || world.stopped,
        `${moves.join(', ')}: ${world.predecessor.kind} and ${world.successor.kind}`,
      )
      if (!world.stopped) t.false(predecessorServes && successorServes, `${moves.join(', ')}: both serve`)
      // A successor that lost its predecessor while it had the sockets never just ends.
      if (world.successorLives && !world.predecessorLives) t.is(world.successor.kind, 'serving')
      return true
    }),
    { numRuns: 2_000 },
  )
})

test('while one takes over, every other is refused', (t) => {
  fc.assert(
    fc.property(fc.array(arbitraryMove, { maxLength: 40 }), (moves) => {
      const world = new World()
      for (const move of moves) {
        const before = world.predecessor
        const refused = world.refusedOthers.length
        world.move(move)
        if (move !== 'another hello' || !world.predecessorLives || before.kind === 'serving') continue
        t.is(world.refusedOthers.length, refused + 1)
        t.is(world.refusedOthers.at(-1), before.kind === 'handing' ? 'busy' : 'stopping')
      }
      return true
    }),
    { numRuns: 1_000 },
  )
})
