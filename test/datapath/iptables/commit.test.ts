// What a commit does when one family's restore fails.

import test from 'ava'

import { createIptablesDatapath } from '#agent/datapath/iptables/datapath.ts'
import type { CommandRunner } from '#agent/kernel/command.ts'
import { aService, aSlice, planOf } from '../../support/build.ts'
import { fakeIptables } from '../../support/fake-iptables.ts'
import { fakeSteering } from '../../support/fake-steering.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { quietLog } from '../../support/quiet-log.ts'

test('a restore that fails is counted by family, is an error, and leaves the other family its rules', async (t) => {
  const kernel = fakeIptables()
  const restored: string[] = []
  const runner: CommandRunner = {
    run: async (command, signal) => {
      if (!command.program.endsWith('-restore') || command.args.includes('--test'))
        return await kernel.run(command, signal)
      if (command.program === 'iptables-nft-restore')
        return { exitCode: 1, stdout: '', stderr: 'line 7 failed\n', durationMs: 1 }
      restored.push(command.program)
      return await kernel.run(command, signal)
    },
  }
  const failures: string[] = []
  const datapath = createIptablesDatapath({
    runner,
    steering: fakeSteering(),
    clock: manualClock(),
    log: quietLog(),
    variant: 'nft',
    onRestoreFailure: (family) => failures.push(family),
  })
  const services = [aService({ clusterIps: ['10.96.0.10', 'fd00:96::10'] })]
  const plan = planOf({ services, slices: [aSlice({ endpoints: ['10.244.1.5'] })] })
  const changes = datapath.change(undefined, datapath.render(plan))
  const error = await t.throwsAsync(datapath.commit(changes, new AbortController().signal))
  t.regex(error?.message ?? '', /line 7 failed/)
  t.deepEqual(failures, ['IPv4'])
  t.deepEqual(restored, ['ip6tables-nft-restore'])
})
