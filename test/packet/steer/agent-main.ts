// Stands for the agent: runs the calls of a SteeringKernel in the network namespace that it was started in, as its
// parent tells it over IPC. Arguments: pin folder.

import { kernelSteering } from '#agent/datapath/steer/kernel-steering.ts'
import { selfTest } from '#agent/datapath/steer/self-test.ts'
import type { Mechanism, SteerKey } from '#agent/datapath/steer/steering.ts'
import { conntrack } from '#agent/kernel/conntrack.ts'
import { readLive } from '#agent/kernel/ipsets.ts'
import { loadNative } from '#agent/kernel/native.ts'
import type { Family } from '#agent/model/ip.ts'

export type Request =
  | { readonly op: 'probe' | 'read' | 'purge' | 'live' | 'steered-entries' }
  | { readonly op: 'prepare'; readonly mechanism: Mechanism }
  | { readonly op: 'add' | 'remove'; readonly keys: readonly SteerKey[] }
  | { readonly op: 'selfTest'; readonly family: Family; readonly timeoutMs: number }

const [, , pinDir = ''] = process.argv
const load = loadNative()
if (load.kind === 'absent') throw new Error(load.because)
const { native } = load
const steering = kernelSteering(native, { pinDir })
const netfilter = native.netlink('netfilter')

process.on('disconnect', () => process.exit(0))
process.on('message', (message) => {
  const { id, request } = message as { id: number; request: Request }
  act(request).then(
    (value) => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  )
})

async function act(request: Request): Promise<unknown> {
  switch (request.op) {
    case 'probe':
      return steering.probe()
    case 'read':
      return steering.read()
    case 'purge':
      return steering.purge()
    case 'live':
      return readLive(netfilter)
    case 'steered-entries':
      return conntrack(netfilter).entries({ mark: { value: 0x532000, mask: 0xff3000 } })
    case 'prepare':
      return steering.prepare(request.mechanism)
    case 'add':
      return steering.add(request.keys)
    case 'remove':
      return steering.remove(request.keys)
    case 'selfTest':
      return selfTest(request.family, { timeoutMs: request.timeoutMs })
  }
}
