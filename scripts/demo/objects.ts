// The objects of the story: copied from scripts/demo/manifests into a folder of their own, and replaced there as
// `kubectl apply` would, while the agents watch.

import { copyFileSync, mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A folder of manifests: the beginning, and what the story changes. */
export type Version = 'beginning' | 'scaled' | 'steered'

export interface Objects {
  readonly folder: string
  /** Puts the Service of this version in place. */
  applyService(version: Version): void
  /** Puts the endpoints of this version in place. */
  applyEndpoints(version: Version): void
}

const SERVICE_FILE = 'hello-minikube-service.yaml'
const ENDPOINTS_FILE = 'hello-minikube-endpoints.yaml'
const ORIGINAL = fileURLToPath(new URL('./manifests', import.meta.url))

/** Copies the beginning. */
export function copyObjects(folder: string): Objects {
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(ORIGINAL)) if (name.endsWith('.yaml')) put(folder, 'beginning', name)
  return {
    folder,
    applyService: (version) => put(folder, version, SERVICE_FILE),
    applyEndpoints: (version) => put(folder, version, ENDPOINTS_FILE),
  }
}

/** In one step, so that a watcher never reads half a file. */
function put(folder: string, version: Version, name: string): void {
  const hidden = join(folder, `.${name}.new`)
  copyFileSync(join(ORIGINAL, version === 'beginning' ? '.' : version, name), hidden)
  renameSync(hidden, join(folder, name))
}
