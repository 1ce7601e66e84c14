// The steering kernel of a node without the addon: nothing of it can be there, and it says so.

import { ShuntError } from '../../model/errors.ts'
import type { SteeringKernel } from './steering.ts'

/** `because` is what loading the addon said. */
export function absentSteering(because: string): SteeringKernel {
  const refuse = (): Promise<never> => Promise.reject(new ShuntError('NATIVE_UNAVAILABLE', because))
  return {
    probe: () => {
      const unusable = { kind: 'unusable', because, hint: 'build the addon with `npm run build`' } as const
      return Promise.resolve({ sk_lookup: unusable, dnat: unusable })
    },
    read: () => Promise.resolve({ skLookup: { kind: 'absent', because }, routedFamilies: [] }),
    // Off is what it is.
    prepare: (mechanism) => (mechanism === 'off' ? Promise.resolve() : refuse()),
    add: (keys) => (keys.length === 0 ? Promise.resolve() : refuse()),
    remove: () => Promise.resolve(),
    purge: () => Promise.resolve(),
  }
}
