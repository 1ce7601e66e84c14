// Where the agent's knowledge of the cluster comes from, whatever that is: a folder of manifests, or an API server.

import type { Problem } from '../model/errors.ts'
import type { Snapshot } from '../plan/snapshot.ts'

export interface Source {
  /** Resolves once watching; throws ShuntError only for what waiting cannot cure. */
  start(): Promise<void>
  /** Ends watching; what is known stays readable. */
  stop(): void
  /** The same value until the content changes. */
  snapshot(): Snapshot
  /** What is wrong with the objects now. */
  problems(): readonly Problem[]
  /** True once everything was read once; before, a Snapshot may lack anything and must not be acted on (row 85). */
  synced(): boolean
  /** Called after each change of the content, of the problems, and of being synced; returns how to end it. */
  onChange(listener: () => void): () => void
}
