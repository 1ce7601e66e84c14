// The proxy's sign of life without the addon: one `ipset` that reads commands for as long as the proxy lives. It is
// started as root and stays root, so that the proxy may give root up.

import { HEARTBEAT_TIMEOUT_S } from '../model/steering-names.ts'
import type { Beat, Heartbeat } from './heartbeat.ts'
import { LIVE_MEMBERS } from './ipsets.ts'
import { startLastingProgram } from './lasting-program.ts'

/**
 * A beat answers what became of the beat before it, because the program says nothing when it succeeds. Throws
 * PROGRAM_MISSING.
 */
export function openProgramHeartbeat(): Heartbeat {
  let complaints: string[] = []
  let begun = false
  const hear = (line: string): void => {
    if (complaints.length <= LIVE_MEMBERS.length) complaints.push(line)
  }
  const ipset = startLastingProgram('ipset', ['-'], { stderr: hear }, 'input')
  return {
    beat() {
      if (ipset.problem !== undefined) return { kind: 'failed', errno: 0, code: ipset.problem }
      const last: Beat = begun ? outcome(complaints) : { kind: 'no-sets' }
      begun = true
      complaints = []
      ipset.write(
        LIVE_MEMBERS.map(({ list, member }) => `add ${list} ${member} timeout ${HEARTBEAT_TIMEOUT_S} -exist`),
      )
      return last
    },
    withdraw: () => ipset.write(LIVE_MEMBERS.map(({ list, member }) => `del ${list} ${member} -exist`)),
    close: () => ipset.close(),
  }
}

/** `complaints`: what it printed for one beat, a line for each command that failed. */
export function outcome(complaints: readonly string[]): Beat {
  const serious = complaints.find((line) => !ABSENT.test(line))
  if (serious !== undefined) return { kind: 'failed', errno: 0, code: serious }
  return { kind: complaints.length === LIVE_MEMBERS.length ? 'no-sets' : 'refreshed' }
}

const ABSENT = /does not exist/
