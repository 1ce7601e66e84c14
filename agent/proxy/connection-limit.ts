// How many connections the proxy may have open. Beyond its descriptors it could not even refuse a connection properly,
// so the limit leaves room for everything else that it does.

/** Two descriptors each: the client's and the endpoint's. */
const DESCRIPTORS_PER_CONNECTION = 2
/** Listeners, admin connections, files, pins, netlink, the runtime's own. */
const RESERVED_DESCRIPTORS = 256
/** Up to 3 KB each in the process when idle, and more in the kernel: a limit of gigabytes that nobody set is none. */
const CEILING = 100_000

/** `wanted` 0: as many as descriptors allow, within reason. `processLimits`: text of /proc/self/limits. */
export function connectionLimit(wanted: number, processLimits: string): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(processLimits)?.[1]
  const descriptors = soft === undefined || soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
  const possible = Math.floor((descriptors - RESERVED_DESCRIPTORS) / DESCRIPTORS_PER_CONNECTION)
  return Math.max(1, Math.min(possible, wanted === 0 ? CEILING : wanted))
}
