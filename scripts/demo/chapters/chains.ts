// The walk through the chains, as the tutorial does it by hand, and as `shunt trace` does it.

import { CLUSTER_IP, NODE, NODE_PORT, PORT, SHELL, type World } from '../world.ts'

export const SERVICE_CHAIN = 'KUBE-SVC-MFJHED5Y2WHWJ6HX'
export const EXTERNAL_CHAIN = 'KUBE-EXT-MFJHED5Y2WHWJ6HX'
export const FIRST_ENDPOINT_CHAIN = 'KUBE-SEP-EVPNTXRIBDBX2HJK'
export const SECOND_ENDPOINT_CHAIN = 'KUBE-SEP-NXPGMUBGGTRFLABG'

export async function chains(world: World): Promise<void> {
  const { tell } = world
  tell.chapter('2  From the NodePort to the Pod, chain by chain')
  const nodePorts = await show(world, 'KUBE-NODEPORTS')
  const jump = new RegExp(`--dport ${NODE_PORT} .*-j (KUBE-(?:EXT|SVC)-MFJHED5Y2WHWJ6HX)`).exec(
    nodePorts,
  )?.[1]
  tell.check(`KUBE-NODEPORTS sends port ${NODE_PORT} to the Service`, jump !== undefined, jump)
  // Since Kubernetes 1.24 a chain for external traffic lies between the two.
  if (jump === EXTERNAL_CHAIN) {
    const external = await show(world, EXTERNAL_CHAIN)
    tell.check(
      'external traffic is masqueraded and goes on',
      external.includes(`-j ${SERVICE_CHAIN}`),
      SERVICE_CHAIN,
    )
  }
  const service = await show(world, SERVICE_CHAIN)
  tell.check(
    'the Service has one endpoint',
    service.includes(`-j ${FIRST_ENDPOINT_CHAIN}`),
    FIRST_ENDPOINT_CHAIN,
  )
  const endpoint = await show(world, FIRST_ENDPOINT_CHAIN)
  tell.check('which is the Pod', endpoint.includes('--to-destination 172.17.0.5:8080'), '172.17.0.5:8080')
  await trace(world, [SERVICE_CHAIN, '172.17.0.5:8080'])
}

/** `iptables -t nat -S CHAIN` on the first node. */
export async function show(world: World, chain: string): Promise<string> {
  return (await world.type(NODE, ['/usr/sbin/iptables', '-t', 'nat', '-S', chain])).stdout
}

/** `shunt trace` from the client pod; its output must name all of these. */
export async function trace(world: World, names: readonly string[]): Promise<void> {
  const ran = await world.shunt('trace', SHELL.ip, `${CLUSTER_IP}:${PORT}`)
  const missing = names.filter((name) => !ran.stdout.includes(name))
  const holds = ran.code === 0 && missing.length === 0
  world.tell.check(
    'shunt trace explains this stage',
    holds,
    holds ? names.join(', ') : `exit ${ran.code}, missing ${missing.join(', ')}`,
  )
}
