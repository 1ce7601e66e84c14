// What a failed hand-over means for whoever started the successor: what happened, and what to do about it.

import { ShuntError } from '../../model/errors.ts'
import { HANDOVER_VERSION, type Refusal } from './messages.ts'
import { ANSWER_TIMEOUT_MS, GO_TIMEOUT_MS, STATE_TIMEOUT_MS, type Failure } from './successor-state.ts'

/** `pid`: of the predecessor, as far as it is known. In every case that one runs on as it was. */
export function failureError(failure: Failure, pid: number | undefined): ShuntError {
  const running = `the running proxy${pid === undefined || pid === 0 ? '' : ` (pid ${pid})`}`
  const kill = `kill -9 ${pid === undefined || pid === 0 ? 'PID' : pid}`
  const error = (what: string, hint?: string): ShuntError =>
    new ShuntError('HANDOVER_FAILED', what, hint === undefined ? {} : { hint })
  switch (failure.kind) {
    case 'refused':
      return error(
        `${running} ${refusalText(failure.because, failure.version)}`,
        REFUSAL_HINTS[failure.because],
      )
    case 'silent':
      return error(
        `${running} did not give its ${failure.waitedFor} within ${WAITED_MS[failure.waitedFor] / 1_000} s`,
        `if it hangs, end it with \`${kill}\` and start again: the connections that it relays are lost, new ones are ` +
          'served by the kernel within 1.5 s',
      )
    case 'lost':
      return error(`${running} ended before it handed over`, 'start again')
    case 'cancelled':
      return error(`${running} called the hand-over off: ${failure.because}`)
    case 'broken':
      return error(`${running} does not keep to the protocol: ${failure.because}`)
    case 'own':
      return error(`this proxy could not take over: ${failure.because}`, 'correct the cause and start again')
  }
}

const WAITED_MS = { answer: ANSWER_TIMEOUT_MS, state: STATE_TIMEOUT_MS, go: GO_TIMEOUT_MS } as const

const REFUSAL_HINTS: Readonly<Record<Refusal, string>> = {
  version: 'stop it with SIGTERM, wait for it to drain, then start this one',
  netns: 'start this one in the same network namespace, or with a --run-dir of its own',
  busy: 'see `shunt status`; start again when that has ended',
  stopping: 'start again when it has ended',
}

function refusalText(because: Refusal, version: number): string {
  switch (because) {
    case 'version':
      return `speaks version ${version} of the hand-over, this one version ${HANDOVER_VERSION}`
    case 'netns':
      return 'serves another network namespace'
    case 'busy':
      return 'is handing over to another one already'
    case 'stopping':
      return 'is stopping, or has handed over already'
  }
}
