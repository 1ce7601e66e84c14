// The same client goes through the proxy, while it keeps connecting; nothing is lost at the switch.

import { setTimeout as sleep } from 'node:timers/promises'

import { CLUSTER_IP, pathOf, PORT, type World } from '../world.ts'
import { trace } from './chains.ts'

const STEER = 'shunt.dev/steer'

export async function steer(world: World): Promise<void> {
  const { tell, shell } = world
  tell.chapter('4  Steer the Service to the proxy')
  world.startProxy()
  const before = await shell.hold(CLUSTER_IP, PORT)
  const stream = await shell.stream(CLUSTER_IP, PORT, { intervalMs: 4 })
  await sleep(300)
  tell.say(`the Service gets the annotation ${STEER}: always, while the client connects 250 times a second`)
  setSteering(world, true)
  const ms = await world.untilPath('proxy', 15_000)
  await sleep(500)
  const timed = await stream.stop()
  const lost = timed.filter((one) => one.seen.kind !== 'answered')
  const paths = timed.map((one) => pathOf(one.seen))
  const steered = paths.filter((path) => path === 'proxy').length
  tell.check(
    'the switch took place',
    steered > 0 && paths.includes('kernel'),
    `after ${(ms / 1000).toFixed(2)} s`,
  )
  tell.check(
    'no connection was lost at the switch',
    lost.length === 0,
    `${timed.length} connections: ${timed.length - steered - lost.length} by the kernel, ${steered} by the proxy, ${lost.length} lost`,
  )
  const after = await before.ask()
  const kept = before.first.kind === 'answered' && after.kind === 'answered' && after.by === before.first.by
  tell.check(
    'a connection from before stays where it was',
    kept,
    after.kind === 'answered' ? after.by : after.kind,
  )

  const open = await shell.hold(CLUSTER_IP, PORT)
  const connections = await world.shunt('connections')
  tell.check(
    'shunt connections shows who decided what',
    connections.code === 0 && connections.stdout.includes('hello-minikube'),
  )
  await Promise.all([before.drop(), open.drop()])
  await trace(world, ['steered', 'hands it to the proxy'])
}

/** Edits the Service as an operator would. */
export function setSteering(world: World, steered: boolean): void {
  world.objects.applyService(steered ? 'steered' : 'beginning')
}
