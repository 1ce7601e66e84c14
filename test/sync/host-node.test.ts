import test from 'ava'
import { hostNode, withHostNode, type Interfaces } from '#agent/sync/host-node.ts'
import { aNode, aSnapshot } from '#test/support/build.ts'

function device(...addresses: string[]): Interfaces[string] {
  return addresses.map((address) => ({ address, internal: address.startsWith('127.') || address === '::1' }))
}

const ROWS: readonly (readonly [string, Interfaces, readonly string[]])[] = [
  [
    'loopback, link-local and container devices are left out',
    {
      lo: device('127.0.0.1', '::1'),
      eth0: device('192.168.0.10', 'fd00::10', 'fe80::1', '169.254.7.7'),
      docker0: device('172.17.0.1'),
      cni0: device('10.244.0.1'),
      veth12ab: device('10.1.1.1'),
    },
    ['192.168.0.10', 'fd00::10'],
  ],
  [
    'container devices serve when there is nothing else',
    { lo: device('127.0.0.1'), veth0: device('10.0.0.1') },
    ['10.0.0.1'],
  ],
  ['the self-test has no say', { eth0: device('169.254.53.90', 'fd53:4855:4e54::1') }, []],
  ['an address on two devices counts once', { a: device('10.0.0.1'), b: device('10.0.0.1') }, ['10.0.0.1']],
]

for (const [name, interfaces, expected] of ROWS)
  test(name, (t) => t.deepEqual(hostNode('n', interfaces).addresses as readonly string[], expected))

test('a Node object wins over the host', (t) => {
  const node = hostNode('n', { eth0: device('10.0.0.1') })
  const known = aSnapshot({ node: aNode() })
  t.is(withHostNode(known, node), known)
  t.is(withHostNode(aSnapshot({ node: null }), node).node, node)
})
