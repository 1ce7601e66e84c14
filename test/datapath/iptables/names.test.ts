import test from 'ava'

import {
  chainHash,
  endpointChain,
  isOurChain,
  serviceChain,
  servicePortLabel,
  servicePortSeed,
} from '#agent/datapath/iptables/names.ts'
import { ip } from '../../support/build.ts'

const MINIKUBE = { namespace: 'default', service: 'hello-minikube', portName: '', protocol: 'TCP' } as const

test("hashes are kube-proxy's", (t) => {
  for (const [text, hash] of [
    ['ns1/svc1:p80tcp', 'XPGD46QRK7WJZT7O'],
    ['ns1/svc1:p80tcp10.180.0.1:80', 'SXIVWICOYRO3J4NJ'],
    ['default/kubernetes:httpstcp', 'NPX46M4PTMTKRN6Y'],
  ] as const)
    t.is(chainHash(text), hash, text)
})

test("the chains of the minikube tutorial's Service have their names", (t) => {
  const seed = servicePortSeed(MINIKUBE)
  t.is(seed, 'default/hello-minikubetcp')
  t.is(serviceChain('SVC', chainHash(seed)), 'KUBE-SVC-MFJHED5Y2WHWJ6HX')
  t.is(endpointChain(seed, { ip: ip('172.17.0.5'), port: 8080 }), 'KUBE-SEP-EVPNTXRIBDBX2HJK')
  t.is(endpointChain(seed, { ip: ip('172.17.0.7'), port: 8080 }), 'KUBE-SEP-NXPGMUBGGTRFLABG')
})

test('a port name is part of label and seed, the protocol of the seed alone', (t) => {
  const port = { ...MINIKUBE, portName: 'dns', protocol: 'UDP' } as const
  t.is(servicePortLabel(port), 'default/hello-minikube:dns')
  t.is(servicePortSeed(port), 'default/hello-minikube:dnsudp')
})

test('an IPv6 endpoint is hashed with brackets', (t) => {
  const chain = endpointChain('ns1/svc1:p80tcp', { ip: ip('fd00::1'), port: 80 })
  t.is(chain, `KUBE-SEP-${chainHash('ns1/svc1:p80tcp[fd00::1]:80')}`)
})

test('no chain name is longer than the kernel allows', (t) => {
  for (const name of ['KUBE-EXTERNAL-SERVICES', 'SHUNT-STEER-OUT-TAKE', serviceChain('SVC', 'A'.repeat(16))])
    t.true(name.length <= 28, name)
})

for (const [name, ours] of [
  ['KUBE-SERVICES', true],
  ['KUBE-SVC-MFJHED5Y2WHWJ6HX', true],
  ['KUBE-SEP-EVPNTXRIBDBX2HJK', true],
  ['KUBE-XLB-EVPNTXRIBDBX2HJK', true],
  ['KUBE-PROXY-CANARY', true],
  ['SHUNT-STEER', true],
  ['SHUNT-WHATEVER', true],
  ['KUBE-FIREWALL', false],
  ['KUBE-KUBELET-CANARY', false],
  ['KUBE-IPTABLES-HINT', false],
  ['KUBE-MARK-DROP', false],
  ['KUBE-ROUTER-INPUT', false],
  ['KUBE-NWPLCY-ABC', false],
  ['KUBE-SVC-short', false],
  ['cali-PREROUTING', false],
  ['INPUT', false],
] as const)
  test(`${name} is ${ours ? '' : 'not '}ours`, (t) => {
    t.is(isOurChain(name), ours)
  })
