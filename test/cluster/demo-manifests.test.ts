// The demo's objects are those of the well-known minikube tutorial; chain names of the story hang on their numbers.

import { fileURLToPath } from 'node:url'
import test from 'ava'
import { loadManifests } from '../../agent/cluster/manifests.ts'
import { serviceId } from '../../agent/model/ids.ts'

const HELLO = serviceId('default', 'hello-minikube')

function folder(name: string): string {
  return fileURLToPath(new URL(`../../scripts/demo/manifests/${name}`, import.meta.url))
}

async function endpointsOf(name: string): Promise<string[]> {
  const { snapshot, problems } = await loadManifests(folder(name))
  if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join('\n'))
  const slices = snapshot.slices.get(HELLO) ?? []
  return slices.flatMap(({ ports, endpoints }) => endpoints.map(({ ip }) => `${ip}:${ports[0]?.port}`))
}

test('the demo begins with one Service, one endpoint and two Nodes', async (t) => {
  const { snapshot, objects, problems } = await loadManifests(folder('.'), 'minikube')
  t.deepEqual(problems, [])
  t.is(objects, 4)
  t.like(JSON.parse(JSON.stringify(snapshot.services.get(HELLO))), {
    type: 'NodePort',
    clusterIps: ['10.97.95.146'],
    ports: [{ name: '', port: 8080, nodePort: 31_286, protocol: 'TCP' }],
    steer: 'auto',
  })
  t.deepEqual(snapshot.node?.podCidrs.map(String), ['172.17.0.0/16'])
  t.deepEqual(await endpointsOf('.'), ['172.17.0.5:8080'])
})

test('scaled, it has two endpoints; steered, it asks for the proxy', async (t) => {
  t.deepEqual(await endpointsOf('scaled'), ['172.17.0.5:8080', '172.17.0.7:8080'])
  const { snapshot, problems } = await loadManifests(folder('steered'))
  t.deepEqual(problems, [])
  t.is(snapshot.services.get(HELLO)?.steer, 'always')
})
