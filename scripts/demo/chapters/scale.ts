// Two endpoints: the second chain and the rule with its probability appear, and connections spread evenly.

import { until } from '../../../test/support/lab/wait.ts'
import { halfOf } from '../shares.ts'
import { CLUSTER_IP, HELLO_1, NODE, PORT, type World } from '../world.ts'
import { FIRST_ENDPOINT_CHAIN, SECOND_ENDPOINT_CHAIN, SERVICE_CHAIN, show, trace } from './chains.ts'

export async function scale(world: World): Promise<void> {
  const { tell, shell } = world
  tell.chapter('3  Scale to two')
  world.objects.applyEndpoints('scaled')
  const ms = await until('the second endpoint is in the kernel', async () => {
    const ran = await world.lab.exec(NODE, ['/usr/sbin/iptables', '-t', 'nat', '-S', SERVICE_CHAIN], {
      mayFail: true,
    })
    return ran.stdout.includes(SECOND_ENDPOINT_CHAIN)
  })
  tell.check('the edited slice is live in under a second', ms < 1000, `${ms.toFixed(0)} ms`)
  const chain = await show(world, SERVICE_CHAIN)
  const first = new RegExp(`--probability 0\\.50000000000 -j ${FIRST_ENDPOINT_CHAIN}`)
  tell.check('the first endpoint is taken with probability 0.50000000000', first.test(chain))
  tell.check(
    'the second endpoint gets the rest',
    chain.includes(`-j ${SECOND_ENDPOINT_CHAIN}`),
    SECOND_ENDPOINT_CHAIN,
  )
  const shares = await halfOf(
    (count) => shell.connect(CLUSTER_IP, PORT, { count }),
    (seen) => seen.kind === 'answered' && seen.by === HELLO_1.name,
  )
  tell.check(
    '1,000 connections spread within 4 points of one half',
    shares.fair,
    `${HELLO_1.name}: ${shares.text}`,
  )
  await trace(world, [FIRST_ENDPOINT_CHAIN, SECOND_ENDPOINT_CHAIN])
}
