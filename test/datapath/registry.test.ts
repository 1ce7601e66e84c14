import test from 'ava'
import type { Capability, Datapath } from '#agent/datapath/datapath.ts'
import { chooseDatapath, registry } from '#agent/datapath/registry.ts'
import { ShuntError } from '#agent/model/errors.ts'
import { fakeDatapath } from '#test/support/fake-datapath.ts'

function saying(capability: Capability): () => Promise<Datapath> {
  return () => Promise.resolve({ ...fakeDatapath(), probe: () => Promise.resolve(capability) } as Datapath)
}

const USABLE: Capability = { kind: 'usable', detail: 'fine', families: ['IPv4'] }
const BROKEN: Capability = { kind: 'unusable', because: 'no such table', hint: 'load the module' }

test('auto takes the first that is usable and keeps why others were not', async (t) => {
  const chosen = await chooseDatapath(registry({ iptables: saying(USABLE) }), 'auto')
  t.is(chosen.semantics, 'iptables')
  t.is(chosen.capability, USABLE)
  t.deepEqual(chosen.passedOver, [{ name: 'nftables', because: 'not part of this version' }])
})

test('a datapath that was named is never replaced', async (t) => {
  const error = await t.throwsAsync(
    chooseDatapath(registry({ iptables: saying(USABLE), nftables: saying(BROKEN) }), 'nftables'),
    { instanceOf: ShuntError },
  )
  t.is(error.code, 'DATAPATH_UNUSABLE')
  t.is(error.message, 'no datapath can be used (nftables: no such table)')
  t.is(error.hint, 'load the module')
})

test('when none is usable every reason is said', async (t) => {
  const error = await t.throwsAsync(chooseDatapath(registry({ iptables: saying(BROKEN) }), 'auto'))
  for (const part of [/nftables: not part/, /iptables: no such table/, /ipvs: not part/, /ebpf: not part/])
    t.regex(error.message, part)
})
