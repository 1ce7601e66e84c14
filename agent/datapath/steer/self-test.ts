// Proves interception by a real connection to an address that only steering can deliver.

import type { Family } from '../../model/ip.ts'

export type SelfTestResult =
  | { readonly kind: 'ok'; readonly latencyMs: number; readonly pid: number; readonly generation: number }
  | { readonly kind: 'failed'; readonly because: string }

export type SelfTest = (family: Family, options: { readonly timeoutMs: number }) => Promise<SelfTestResult>
