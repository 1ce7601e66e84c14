// The only loader of the native addon.

import type { Native } from './native-types.ts'

export type NativeLoad =
  | { readonly kind: 'loaded'; readonly native: Native }
  | { readonly kind: 'absent'; readonly because: string }
