// Everything ends, and cleanup leaves the node as it was.

import { difference, inventory } from '../inventory.ts'
import { NODE, type World } from '../world.ts'

/** @param before the node's inventory before the first agent started */
export async function cleanup(world: World, before: string): Promise<void> {
  const { tell } = world
  tell.chapter('7  Clean up')
  await Promise.all([world.agent().stop(), world.proxy().stop()])
  const stopped = await world.shell.connect('10.97.95.146', 8080)
  tell.check(
    'the rules outlive the agent',
    stopped.every((seen) => seen.kind === 'answered'),
  )
  const ran = await world.shunt('cleanup')
  tell.check('shunt cleanup succeeds', ran.code === 0)
  const changes = difference(before, await inventory(world.lab, NODE))
  tell.check(
    'rules, sets, policy routes, pins and folders are as they were before',
    changes.length === 0,
    changes.slice(0, 20).join('; '),
  )
}
