// Which address families this network namespace has.

import { readFileSync } from 'node:fs'

import type { Family } from '../model/ip.ts'

/** IPv6 is missing where the kernel has none, or where it is switched off for all devices. */
export function hasFamily(family: Family): boolean {
  if (family === 'IPv4') return true
  try {
    return readFileSync('/proc/sys/net/ipv6/conf/all/disable_ipv6', 'utf8').trim() === '0'
  } catch {
    return false
  }
}
