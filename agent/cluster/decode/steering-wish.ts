// What a Service's annotations ask of steering. A mistake here is a warning: it must not take the Service's packets out of
// the kernel's hands.

import type { SteerMode, WhenProxyDown } from '../../model/service.ts'
import { listed, type Fields } from './fields.ts'
import { OWN_ANNOTATIONS, STEER_ANNOTATION, WHEN_PROXY_DOWN_ANNOTATION } from './known-fields.ts'
import { describe } from './report.ts'
import { nearest } from './spelling.ts'

interface SteeringWish {
  readonly steer: SteerMode
  readonly whenProxyDown: WhenProxyDown
}

export function steeringWish(annotations: Fields | undefined): SteeringWish {
  if (annotations === undefined) return { steer: 'auto', whenProxyDown: 'balance' }
  for (const name of annotations.names()) {
    if (!name.startsWith('shunt.dev/') || OWN_ANNOTATIONS.has(name)) continue
    const meant = nearest(name, OWN_ANNOTATIONS)
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`
    annotations.report.warn(annotations.at(name), `unknown annotation, it is ignored${hint}`, 'FIELD_UNKNOWN')
  }
  return {
    steer: word(annotations, STEER_ANNOTATION, ['auto', 'always', 'never']),
    whenProxyDown: word(annotations, WHEN_PROXY_DOWN_ANNOTATION, ['balance', 'reject']),
  }
}

/** The first word is the default. */
function word<T extends string>(annotations: Fields, key: string, words: readonly [T, ...T[]]): T {
  const value = annotations.raw(key)
  if (value === undefined) return words[0]
  const found = words.find((candidate) => candidate === value)
  if (found !== undefined) return found
  annotations.report.warn(
    annotations.at(key),
    `expected ${listed(words)}, found ${describe(value)}; ${words[0]} is used`,
  )
  return words[0]
}
