// The view that the last agent gave to a proxy, which may still serve it: the kernel may still steer all of it.

import { readFile } from 'node:fs/promises'
import type { Log } from '../model/log.ts'
import type { Checked } from '../proxy/decision/view-check.ts'
import type { ProxyView } from '../proxy/decision/view.ts'

/** undefined if there is none or it cannot be read. */
export async function baseView(
  path: string,
  check: (json: unknown) => Checked<ProxyView>,
  log: Log,
): Promise<ProxyView | undefined> {
  try {
    const checked = check(JSON.parse(await readFile(path, 'utf8')))
    if (checked.kind === 'ok') return checked.value
    log.warn({ path, reasons: checked.reasons.slice(0, 3) }, 'the last view on disk is not used')
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!missing) log.warn({ error, path }, 'the last view on disk cannot be read')
  }
  return undefined
}
