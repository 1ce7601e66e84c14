// One endpoint stops listening before Kubernetes notices: the proxy tries the other one, the kernel cannot.

import { halfOf } from '../shares.ts'
import { CLUSTER_IP, HELLO_1, HELLO_2, PORT, type World } from '../world.ts'
import { setSteering } from './steer.ts'
import { trace } from './chains.ts'

export async function brokenEndpoint(world: World): Promise<void> {
  const { tell, shell } = world
  tell.chapter('5  One endpoint stops listening')
  const broken = await world.lab.peer(HELLO_2.name)
  await broken.unlisten(HELLO_2.ip, PORT)
  tell.say(`${HELLO_2.name} refuses connections; its address is still in the slice`)
  const seen = await shell.connect(CLUSTER_IP, PORT, { count: 1000 })
  const succeeded = seen.filter((one) => one.kind === 'answered' && one.by === HELLO_1.name).length
  tell.check(
    'with the proxy 1,000 of 1,000 connections succeed',
    succeeded === 1000,
    `${succeeded} of ${seen.length}`,
  )
  await trace(world, ['steered'])

  setSteering(world, false)
  await world.untilPath('kernel')
  const shares = await halfOf(
    (count) => shell.connect(CLUSTER_IP, PORT, { count }),
    (one) => one.kind === 'refused',
  )
  tell.check('without the proxy about half of them fail', shares.fair, `refused: ${shares.text}`)

  await broken.listen(HELLO_2.ip, PORT, HELLO_2)
  setSteering(world, true)
  await world.untilPath('proxy')
  tell.say(`${HELLO_2.name} listens again, and the Service is steered again`)
}
