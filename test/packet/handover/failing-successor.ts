// A successor that dies by SIGKILL at a step of the hand-over, told by its argument.
//   node failing-successor.ts SOCKET STEP

import { systemClock } from '#agent/kernel/clock.ts'
import { loadNative } from '#agent/kernel/native.ts'
import { callPredecessor } from '#agent/proxy/handover/call-predecessor.ts'
import { Succession } from '#agent/proxy/handover/succession.ts'
import { networkNamespace } from '#agent/proxy/handover/take-place.ts'
import { quietLog } from '../../support/quiet-log.ts'

export const STEPS = ['call', 'grant', 'state', 'ready', 'go'] as const

const [path = '', step = ''] = process.argv.slice(2)
const dieAt = (now: (typeof STEPS)[number]): void => {
  if (step === now) process.kill(process.pid, 'SIGKILL')
}

const loaded = loadNative()
if (loaded.kind === 'absent') throw new Error(loaded.because)
const { native } = loaded
if (step === 'call') {
  native.fdPassing.connectUnix(path)
  dieAt('call')
}
const call = await callPredecessor(path, {
  clock: systemClock,
  fdPassing: native.fdPassing,
  closeFd: (fd) => native.closeFd(fd),
  pid: process.pid,
  netns: networkNamespace(),
  uids: [0, 15001],
})
if (call.kind === 'nobody') throw new Error('nobody answered')
dieAt('grant')
const succession = new Succession(call.channel, {
  clock: systemClock,
  log: quietLog(),
  pid: call.pid,
  report: () => {},
  gone: () => {},
  revoked: () => {},
})
await succession.state()
dieAt('state')
const told = succession.ready()
dieAt('ready')
await told
dieAt('go')
throw new Error(`${step} is no step`)
