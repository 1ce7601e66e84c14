// The proxy is killed: by itself, then together with the agent. New connections go on through the kernel, because the
// sets that steer them live only as long as the proxy's heartbeat.

import { setTimeout as sleep } from 'node:timers/promises'

import { CLUSTER_IP, pathOf, PORT, type World } from '../world.ts'
import { trace } from './chains.ts'

const BOUND_MS = 1500

export async function deadProxy(world: World): Promise<void> {
  const { tell } = world
  tell.chapter('6  kill -9 of the proxy')
  await killAndWatch(world, 'with the agent alive', async () => {
    tell.command('minikube', `kill -9 ${world.proxy().pid}`, '')
    await world.proxy().kill()
  })
  await trace(world, ['172.17.0.5:8080', '172.17.0.7:8080'])
  world.startProxy()
  const back = await world.untilPath('proxy')
  tell.check('a new proxy takes over again', true, `after ${(back / 1000).toFixed(2)} s`)

  await killAndWatch(world, 'with the agent dead too', async () => {
    tell.command('minikube', `kill -9 ${world.agent().pid} ${world.proxy().pid}`, '')
    await Promise.all([world.agent().kill(), world.proxy().kill()])
  })
  world.startAgent()
  world.startProxy()
  const again = await world.untilPath('proxy')
  tell.check('both come back and steer again', true, `after ${(again / 1000).toFixed(2)} s`)
}

async function killAndWatch(world: World, when: string, kill: () => Promise<void>): Promise<void> {
  const { tell, shell } = world
  const stream = await shell.stream(CLUSTER_IP, PORT, { intervalMs: 5, timeoutMs: 1000 })
  await sleep(200)
  const killedMs = Date.now()
  await kill()
  await sleep(BOUND_MS + 700)
  const timed = await stream.stop()
  const late = timed.filter((one) => one.atMs > killedMs + BOUND_MS)
  const failed = timed.filter((one) => one.seen.kind !== 'answered')
  const firstByKernel = timed.find((one) => one.atMs >= killedMs && pathOf(one.seen) === 'kernel')
  const astray = late.filter((one) => pathOf(one.seen) !== 'kernel')
  const goesOn = late.length > 50 && astray.length === 0
  const [stray] = astray
  const strays =
    stray === undefined
      ? ''
      : `; ${astray.length} of ${late.length} too late, the first at ${stray.atMs - killedMs} ms: ${JSON.stringify(stray.seen)}`
  const afterMs = firstByKernel === undefined ? 'never' : `${firstByKernel.atMs - killedMs} ms`
  tell.check(
    `${when}, new connections go through the kernel within 1.5 s`,
    goesOn,
    `the first after ${afterMs}; ${failed.length} of ${timed.length} were in the dead proxy's hands${strays}`,
  )
}
