// Manifests read once: a folder or a single file, for commands that work without an agent.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, ShuntError, type Problem } from '../model/errors.ts'
import type { Snapshot } from '../plan/snapshot.ts'
import { Folder, type FileReading } from './folder.ts'
import { codeOf, listFolder, readManifest, type FileLook } from './manifest-file.ts'
import { Store } from './store.ts'

/** The live form of the same folder. */
export { ManifestsSource } from './manifests-source.ts'

export interface LoadedManifests {
  readonly snapshot: Snapshot
  /** Objects that were read, those without effect included. */
  readonly objects: number
  readonly problems: readonly Problem[]
}

/**
 * Reads a folder, or a single file of any name. `nodeName` picks the Snapshot's Node.
 * Throws ShuntError NOT_FOUND for a path that does not exist, MANIFEST_UNREADABLE for a folder that cannot be listed.
 */
export async function loadManifests(path: string, nodeName = ''): Promise<LoadedManifests> {
  const folder = new Folder()
  for (const file of await filesAt(path)) {
    const reading = settled(await readManifest(file)) ?? settled(await readManifest(file))
    if (reading !== undefined) folder.read(file, reading)
  }
  folder.settle()
  const store = new Store({ nodeName, awaits: [] })
  store.replaceAll(folder.objects())
  return { snapshot: store.snapshot(), objects: folder.count(), problems: folder.problems() }
}

/** How many objects of the path are good, and everything that is wrong or odd. Throws as {@link loadManifests}. */
export async function checkManifests(
  path: string,
): Promise<{ readonly objects: number; readonly problems: readonly Problem[] }> {
  const { objects, problems } = await loadManifests(path)
  return { objects, problems }
}

async function filesAt(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path]
    return (await listFolder(path)).map(({ name }) => join(path, name))
  } catch (error) {
    throw codeOf(error) === 'ENOENT'
      ? new ShuntError('NOT_FOUND', `no such file or folder: ${path}`, {
          cause: error,
          hint: 'give the path of a manifest or of a folder of manifests',
        })
      : new ShuntError('MANIFEST_UNREADABLE', `${path} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

function settled(look: FileLook): FileReading | undefined {
  return look.kind === 'text' || look.kind === 'unreadable' ? look : undefined
}
