// Where everything of one agent lies. Without --run-dir the system-wide places; with it everything below one folder,
// so that several agents can share a machine, each in its own network namespace.

export interface Paths {
  /** Folder of the sockets. */
  readonly runDir: string
  /** Admin socket of the agent: HTTP and JSON, mode 0600. */
  readonly agentSocket: string
  /** Admin socket of the proxy, likewise. */
  readonly proxySocket: string
  /** Where a proxy that is started takes over from the one that runs; mode 0600. */
  readonly handoverSocket: string
  /** Control channel on which the agent sends views to proxies. */
  readonly viewSocket: string
  /** Folder that survives restarts. */
  readonly stateDir: string
  /** The proxy's last view, so that it can serve without an agent. */
  readonly lastView: string
  /** Pinned BPF objects, on a bpf file system. */
  readonly pinDir: string
  /** True if the pin folder is a bpf file system of our own to mount (and to unmount at cleanup). */
  readonly ownPinMount: boolean
}

/** `runDir` is the option: '' for the system-wide places. */
export function pathsOf(runDir: string): Paths {
  const run = runDir === '' ? '/run/shunt' : runDir
  const state = runDir === '' ? '/var/lib/shunt' : `${runDir}/state`
  return {
    runDir: run,
    agentSocket: `${run}/agent.sock`,
    proxySocket: `${run}/proxy.sock`,
    handoverSocket: `${run}/handover.sock`,
    viewSocket: `${run}/view`,
    stateDir: state,
    lastView: `${state}/last-view.json`,
    pinDir: runDir === '' ? '/sys/fs/bpf/shunt' : `${runDir}/bpf`,
    ownPinMount: runDir !== '',
  }
}
