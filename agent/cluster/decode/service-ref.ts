// References of routes to Services, as parents and as backends.

import type { Fields } from './fields.ts'
import { isDnsLabel, LABEL_RULE } from './names.ts'
import { describe } from './report.ts'

/** The API has other defaults for parents than for backends; the core group has been spelled in two ways. */
export function isServiceRef(ref: Fields, defaultGroup: string, defaultKind: string): boolean {
  const group = ref.raw('group') === '' ? '' : (ref.text('group') ?? defaultGroup)
  return (ref.text('kind') ?? defaultKind) === 'Service' && (group === '' || group === 'core')
}

/** Undefined, with an error reported, for what is no name of a Service, a namespace or a port. */
export function label(ref: Fields, key: string): string | undefined {
  const text = ref.text(key)
  if (text === undefined || isDnsLabel(text)) return text
  ref.report.error(ref.at(key), `expected ${LABEL_RULE}, found ${describe(text)}`)
  return undefined
}
