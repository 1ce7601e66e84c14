// The demo: two simulated nodes, their pods and a client outside, and a story that is true in front of your eyes.
//
//   npm run demo                tells it and leaves nothing behind; exit code 1 if any claim does not hold
//   npm run demo -- --keep      leaves it up at the end, to look around
//   npm run demo -- --down      takes down what --keep left

import { takeDown } from '../../test/support/lab/lab.ts'
import { brokenEndpoint } from './chapters/broken-endpoint.ts'
import { chains } from './chapters/chains.ts'
import { cleanup } from './chapters/cleanup.ts'
import { deadProxy } from './chapters/dead-proxy.ts'
import { reach } from './chapters/reach.ts'
import { scale } from './chapters/scale.ts'
import { steer } from './chapters/steer.ts'
import { inventory } from './inventory.ts'
import { lookAround } from './look-around.ts'
import { createTeller } from './teller.ts'
import { buildWorld, NODE } from './world.ts'

const args = new Set(process.argv.slice(2))
for (const arg of args) if (!['--keep', '--down'].includes(arg)) usage(`unknown option ${arg}`)
if (process.getuid?.() !== 0) usage('network namespaces need root')

if (args.has('--down')) {
  console.log((await takeDown('demo')) ? 'taken down' : 'nothing was up')
} else {
  process.exit(await tellStory(args.has('--keep')))
}

async function tellStory(keep: boolean): Promise<number> {
  const tell = createTeller((line) => console.log(line))
  const world = await buildWorld(tell, keep)
  let finished = false
  try {
    const before = await inventory(world.lab, NODE)
    await reach(world)
    await chains(world)
    await scale(world)
    await steer(world)
    await brokenEndpoint(world)
    await deadProxy(world)
    if (keep) lookAround(world)
    else await cleanup(world, before)
    finished = true
  } catch (error) {
    tell.check('the story comes to its end', false, error instanceof Error ? error.message : String(error))
  } finally {
    if (!keep || !finished) await world.close()
  }
  const failures = tell.failures()
  tell.chapter(failures.length === 0 ? 'Every claim held.' : `${failures.length} claims did not hold:`)
  for (const claim of failures) tell.say(claim)
  return failures.length === 0 ? 0 : 1
}

function usage(problem: string): never {
  console.error(`error: ${problem}\nusage: npm run demo [-- --keep | --down]`)
  process.exit(2)
}
