import test from 'ava'

import { createIptablesDatapath } from '#agent/datapath/iptables/datapath.ts'
import type { IptablesState } from '#agent/datapath/iptables/state.ts'
import { fakeIptables } from '../../support/fake-iptables.ts'
import { fakeSteering } from '../../support/fake-steering.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { manyServices } from '../../support/many-services.ts'
import { quietLog } from '../../support/quiet-log.ts'

const { signal } = new AbortController()

test('lines of big chains are edited in place, and the chain is then exactly the wanted one', async (t) => {
  const fake = fakeIptables()
  const datapath = createIptablesDatapath({
    runner: fake,
    steering: fakeSteering(),
    clock: manualClock(),
    log: quietLog(),
    variant: 'nft',
  })
  let live: IptablesState | undefined
  let [edits, resent] = [0, 0]
  for (const plan of manyServices(7, 300)) {
    const want = datapath.render(plan)
    const change = datapath.change(live, want)
    if (live !== undefined) {
      edits += change.toString().match(/^-I KUBE-SERVICES \d+ /gm)?.length ?? 0
      resent += change.toString().match(/^:KUBE-SERVICES /gm)?.length ?? 0
    }
    await datapath.commit(change, signal)
    const left = datapath.change(await datapath.read(signal), want)
    if (left.size > 0)
      return void t.fail(`step ${plan.generation}:\n${change.toString()}\nleft:\n${left.toString()}`)
    live = want
  }
  t.true(edits > 200, `${edits} lines were inserted`)
  t.is(resent, 0)
})
