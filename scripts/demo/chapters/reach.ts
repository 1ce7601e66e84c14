// One endpoint: a client in a pod, one on the node, one on the other node's pod and one outside reach the Service.

import { until } from '../../../test/support/lab/wait.ts'
import { SERVICE_CHAIN } from './chains.ts'
import { CLUSTER_IP, HELLO_1, NODE, NODE_IP, NODE_PORT, PORT, type World } from '../world.ts'

const CURL = ['/usr/bin/curl', '-s', '--max-time', '5']

export async function reach(world: World): Promise<void> {
  const { tell } = world
  tell.chapter('1  A Service with one endpoint')
  world.startAgent()
  // Without a connection: one that is made before the rules are there would stand in conntrack's list for minutes.
  const ms = await until('the rules are in the kernel', () => isProgrammed(world), { withinMs: 20_000 })
  await world.untilPath('kernel')
  const otherPod = await world.lab.peer('shell-m02')
  await until('the other node serves too', async () => {
    const [seen] = await otherPod.connect(CLUSTER_IP, PORT, { timeoutMs: 1000 })
    return seen?.kind === 'answered'
  })
  tell.say(`the agents read the manifests and programmed both nodes in ${(ms / 1000).toFixed(1)} s`)
  await world.shunt('status')
  await world.shunt('services')

  const clusterUrl = `http://${CLUSTER_IP}:${PORT}/`
  const nodePortUrl = `http://${NODE_IP}:${NODE_PORT}/`
  const clients = [
    { place: 'shell', who: 'a pod reaches the ClusterIP', url: clusterUrl, sees: '172.17.0.9' },
    { place: 'shell-m02', who: 'a pod of the other node reaches it', url: clusterUrl, sees: '' },
    { place: NODE, who: 'the node itself reaches it', url: clusterUrl, sees: '172.17.0.1' },
    { place: 'client', who: 'a client outside reaches the NodePort', url: nodePortUrl, sees: '172.17.0.1' },
    {
      place: NODE,
      who: 'the NodePort answers on localhost',
      url: `http://127.0.0.1:${NODE_PORT}/`,
      sees: '',
    },
  ]
  for (const { place, who, url, sees } of clients) {
    const ran = await world.type(place, [...CURL, url])
    const client = /client_address=(\S+)/.exec(ran.stdout)?.[1] ?? 'nobody'
    const holds = ran.stdout.includes(`Hostname: ${HELLO_1.name}`) && client.includes(sees)
    tell.check(who, holds, `the server saw ${client}`)
  }
}

async function isProgrammed(world: World): Promise<boolean> {
  if (!world.agent().running()) throw new Error(`the agent ended:\n${world.agent().log()}`)
  const ran = await world.lab.exec(NODE, ['/usr/sbin/iptables', '-t', 'nat', '-S', SERVICE_CHAIN], {
    mayFail: true,
  })
  return ran.code === 0
}
