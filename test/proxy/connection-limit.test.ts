import test from 'ava'
import { connectionLimit } from '#agent/proxy/connection-limit.ts'

const limits = (soft: string): string =>
  `Limit    Soft Limit  Hard Limit  Units\nMax open files            ${soft}              1048576              files\n`

const ROWS = [
  ['descriptors set the limit', 0, limits('20256'), 10_000],
  ['many descriptors leave the ceiling', 0, limits('1048576'), 100_000],
  ['a wish below what is possible holds', 100, limits('1048576'), 100],
  ['a wish above what is possible does not', 100_000, limits('1256'), 500],
  ['unlimited descriptors leave the ceiling', 0, limits('unlimited'), 100_000],
  ['a wish above the ceiling holds when descriptors allow', 200_000, limits('1048576'), 200_000],
  ['hardly any descriptors still leave one', 0, limits('64'), 1],
  ['a text that cannot be read leaves the ceiling', 0, '', 100_000],
] as const

for (const [name, wanted, text, want] of ROWS) test(name, (t) => t.is(connectionLimit(wanted, text), want))
