// The lab itself: every place reaches what it should before any rule is there, servers tell the truth about the
// addresses that they see, and nothing is left behind.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'

import test from 'ava'

import { createLab, type Lab } from '../support/lab/lab.ts'
import { MINIKUBE, ROUTED, type Topology } from '../support/lab/topology.ts'

for (const [shape, topology] of Object.entries({ routed: ROUTED, bridged: MINIKUBE })) {
  test(`${shape} pods: every place reaches every pod, and the pod sees its true address`, async (t) => {
    const lab = await createLab(topology)
    t.teardown(() => lab.close())
    await listenInPods(lab, topology)
    const places = [
      'client',
      ...topology.nodes.flatMap((node) => [node.name, ...node.pods.map((pod) => pod.name)]),
    ]
    for (const place of places) {
      const peer = await lab.peer(place)
      for (const pod of topology.nodes.flatMap((node) => node.pods)) {
        for (const [address, protocol] of [
          [pod.ipv4, 'tcp'],
          [pod.ipv6, 'tcp'],
          [pod.ipv4, 'udp'],
          [pod.ipv6, 'udp'],
        ] as const) {
          const [seen] = await peer.connect(address, 8080, { protocol })
          if (seen?.kind !== 'answered') {
            t.fail(`${place} -> ${pod.name} ${address} ${protocol}: ${JSON.stringify(seen)}`)
            continue
          }
          t.is(seen.by, pod.name, `${place} -> ${pod.name}`)
          const own = topology.nodes.flatMap((node) => node.pods).find((other) => other.name === place)
          if (own !== undefined) t.is(seen.source, protocolAddress(own, address), `${place} -> ${pod.name}`)
        }
      }
    }
  })
}

test('a client tells refused, silent and mute apart', async (t) => {
  const lab = await createLab()
  t.teardown(() => lab.close())
  const pod = await lab.peer('p11')
  const client = await lab.peer('p12')
  await pod.listen('10.244.1.11', 81, { name: 'p11', behaviour: 'mute' })
  await lab.exec('p11', ['/usr/sbin/iptables-nft', '-A', 'INPUT', '-p', 'tcp', '--dport', '82', '-j', 'DROP'])
  await lab.exec('p11', [
    '/usr/sbin/iptables-nft',
    '-A',
    'INPUT',
    '-p',
    'tcp',
    '--dport',
    '83',
    '-j',
    'REJECT',
  ])
  const kinds = await Promise.all(
    [80, 81, 82, 83].map(
      async (port) => (await client.connect('10.244.1.11', port, { timeoutMs: 300 }))[0]?.kind,
    ),
  )
  t.deepEqual(kinds, ['refused', 'mute', 'silent', 'refused'])
  const [udp] = await client.connect('10.244.1.11', 80, { protocol: 'udp', timeoutMs: 1000 })
  t.is(udp?.kind, 'refused')
})

test('a closed lab leaves no namespace', async (t) => {
  const lab = await createLab()
  const name = lab.namespaceOf('node1')
  t.true(readdirSync('/run/netns').includes(name))
  await lab.close()
  t.deepEqual(
    readdirSync('/run/netns').filter((entry) => entry.startsWith(name.slice(0, -5))),
    [],
  )
})

test('what a killed owner left is swept by the next lab', async (t) => {
  const url = new URL('../support/lab/lab.ts', import.meta.url).href
  const code = `const { createLab } = await import('${url}'); await createLab(); console.log('up'); setInterval(() => {}, 1000)`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => owner.kill('SIGKILL'))
  await once(owner.stdout, 'data')
  const left = (): readonly string[] =>
    readdirSync('/run/netns').filter((name) => name.startsWith(`shunt-${owner.pid}-`))
  t.true(left().length > 0)
  owner.kill('SIGKILL')
  await once(owner, 'exit')
  const lab = await createLab()
  t.teardown(() => lab.close())
  t.deepEqual(left(), [])
})

async function listenInPods(lab: Lab, topology: Topology): Promise<void> {
  for (const pod of topology.nodes.flatMap((node) => node.pods)) {
    const peer = await lab.peer(pod.name)
    for (const address of [pod.ipv4, pod.ipv6]) {
      await peer.listen(address, 8080, { name: pod.name })
      await peer.listen(address, 8080, { name: pod.name, protocol: 'udp' })
    }
  }
}

function protocolAddress(pod: { readonly ipv4: string; readonly ipv6: string }, address: string): string {
  return address.includes(':') ? pod.ipv6 : pod.ipv4
}
