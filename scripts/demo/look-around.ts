// Tells how to look around in a demo that stays up.

import { CLUSTER_IP, NODE, NODE_IP, NODE_PORT, OTHER_NODE, PORT, SHELL, type World } from './world.ts'

export function lookAround(world: World): void {
  const { tell, lab } = world
  const on = (node: string): string =>
    lab.argvAt(node, ['bash']).join(' ').replace(' -- ', ' --wd="$PWD" -- ').replaceAll('/usr/bin/', '')
  const pod = lab.namespaceOf(SHELL.name)
  tell.chapter('It stays up. Look around:')
  tell.say(`a shell on ${NODE}        ${on(NODE)}`)
  tell.say(`a shell on ${OTHER_NODE}    ${on(OTHER_NODE)}`)
  tell.say('there, for example      npx shunt status; npx shunt trace 172.17.0.9 10.97.95.146:8080')
  tell.say(`from a pod              ip netns exec ${pod} curl http://${CLUSTER_IP}:${PORT}/`)
  tell.say(
    `from outside            ip netns exec ${lab.namespaceOf('client')} curl http://${NODE_IP}:${NODE_PORT}/`,
  )
  tell.say(`edit the objects        ${world.objects.folder}`)
  tell.say('take it down            npm run demo -- --down')
}
