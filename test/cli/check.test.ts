import test from 'ava'
import { evaluate } from '#agent/cli/check/evaluate.ts'
import type { NodeFacts } from '#agent/cli/check/facts.ts'
import { conflictsInIpRule, conflictsInRules } from '#agent/cli/check/foreign-marks.ts'
import { golden, runCommand } from './run-command.ts'

const WELL: NodeFacts = {
  uid: 0,
  kernelRelease: '6.18.0',
  programs: [
    { name: 'iptables', version: 'v1.8.9', purpose: 'the datapath', debianPackage: 'iptables', needed: true },
    { name: 'nft', version: 'v1.0.6', purpose: 'looking', debianPackage: 'nftables', needed: false },
  ],
  sysctls: {
    'net.ipv4.ip_forward': '1',
    'net.ipv6.conf.all.forwarding': '1',
    'net.ipv4.conf.all.rp_filter': '0',
    'net.ipv4.conf.all.src_valid_mark': '0',
    'net.bridge.bridge-nf-call-iptables': '1',
    'net.bridge.bridge-nf-call-ip6tables': '1',
    'net.netfilter.nf_conntrack_count': '10',
    'net.netfilter.nf_conntrack_max': '1000',
    'net.netfilter.nf_conntrack_acct': '1',
  },
  processes: ['systemd', 'kubelet'],
  rules: [{ program: 'iptables-nft-save', text: ':SHUNT-STEER - [0:0]\n:KUBE-SERVICES - [0:0]' }],
  ipRules: ['0:\tfrom all lookup local', '5390:\tfrom all fwmark 0x532000/0xff3000 lookup 5390'],
  nftTables: [],
  hasBridge: true,
  bpfFileSystem: true,
  ipvs: false,
  addonMissing: undefined,
  datapath: { name: 'iptables', capability: { kind: 'usable', detail: '1.8.9', families: ['IPv4'] } },
  steering: { sk_lookup: { kind: 'usable', detail: 'loads', families: ['IPv4'] } },
}

test('a node where nothing is wrong', (t) => {
  t.deepEqual(
    evaluate(WELL).filter(({ level }) => level === 'warn' || level === 'bad'),
    [],
  )
})

const CASES: readonly (readonly [string, Partial<NodeFacts>, string])[] = [
  ['not root', { uid: 1000 }, 'bad privilege'],
  [
    'a needed program is missing',
    { programs: [{ ...WELL.programs[0], version: undefined } as never] },
    'bad iptables',
  ],
  [
    'another program is missing',
    { programs: [{ ...WELL.programs[1], version: undefined } as never] },
    'warn nft',
  ],
  ['the addon is not built', { addonMissing: 'no file' }, 'warn native addon'],
  ['no bpf file system', { bpfFileSystem: false }, 'warn bpf file system'],
  [
    'the datapath cannot work',
    { datapath: { name: 'iptables', capability: { kind: 'unusable', because: 'x', hint: 'y' } } },
    'bad datapath iptables',
  ],
  [
    'one mechanism cannot work',
    { steering: { sk_lookup: { kind: 'unusable', because: 'x', hint: 'y' } } },
    'warn steering sk_lookup',
  ],
  ['forwarding is off', sysctl('net.ipv4.ip_forward', '0'), 'warn net.ipv4.ip_forward'],
  [
    'bridged packets pass by',
    sysctl('net.bridge.bridge-nf-call-iptables', '0'),
    'warn net.bridge.bridge-nf-call-iptables',
  ],
  [
    'br_netfilter is not loaded',
    sysctl('net.bridge.bridge-nf-call-ip6tables', undefined),
    'warn net.bridge.bridge-nf-call-ip6tables',
  ],
  [
    'conntrack is nearly full',
    sysctl('net.netfilter.nf_conntrack_count', '900'),
    'warn net.netfilter.nf_conntrack_max',
  ],
  ['kube-proxy runs', { processes: ['kube-proxy'] }, 'bad kube-proxy'],
  ['kube-proxy left its nftables table', { nftTables: ['table ip kube-proxy'] }, 'warn kube-proxy'],
  ['Cilium by its process', { processes: ['cilium-agent'] }, 'warn Cilium'],
  ['Calico by its chains', { rules: [{ program: 'p', text: ':cali-PREROUTING - [0:0]' }] }, 'warn Calico'],
  [
    'an ip rule with our bits',
    { ipRules: ['100:\tfrom all fwmark 0x1000/0xf000 lookup 100'] },
    'warn packet marks',
  ],
]

function sysctl(name: string, value: string | undefined): Partial<NodeFacts> {
  return { sysctls: { ...WELL.sysctls, [name]: value } }
}

for (const [what, facts, expected] of CASES)
  test(`${what}: ${expected}`, (t) => {
    const wrong = evaluate({ ...WELL, ...facts }).filter(({ level }) => level === 'warn' || level === 'bad')
    t.deepEqual(
      wrong.map(({ level, name }) => `${level} ${name}`),
      [expected],
    )
    t.true(wrong.every(({ hint }) => hint !== ''))
  })

test('chains of kube-proxy without its process are taken over, which is a fact and no problem', (t) => {
  const rules = [{ program: 'p', text: ':KUBE-SERVICES - [0:0]' }]
  const found = evaluate({ ...WELL, rules }).find(({ name }) => name === 'kube-proxy')
  t.is(found?.level, 'info')
})

const MARKS: readonly (readonly [string, string, number, boolean])[] = [
  ['a mark without a mask reads all bits', '-A CNI -m mark --mark 0x1 -j ACCEPT', 0xff7000, false],
  [
    "one of our bits, as Calico's default mask has",
    '-A cali-x -m mark --mark 0x10000/0x10000 -j ACCEPT',
    0x10000,
    false,
  ],
  ['a mask below ours is fine', '-A CNI -m mark --mark 0x200/0xf00 -j ACCEPT', 0, false],
  ['setting without a mask clears our bits', '-A CNI -j MARK --set-xmark 0x1/0xffffffff', 0xff7000, true],
  ['toggled bits outside of the mask count', '-A CNI -j MARK --set-xmark 0x2000/0x1', 0x2000, true],
  ["kube-proxy's bit", '-A CNI -j MARK --or-mark 0x4000', 0x4000, true],
  [
    'restoring all of a connection mark',
    '-A CNI -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff',
    0xff7000,
    true,
  ],
  ['restoring other bits', '-A CNI -j CONNMARK --restore-mark --nfmask 0xf00 --ctmask 0xf00', 0, true],
  ['a chain of ours', '-A SHUNT-STEER -j MARK --set-xmark 0x532000/0xff3000', 0, true],
  ["kube-proxy's own chain", '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000', 0, true],
  ['a comment that speaks of marks', '-A CNI -m comment --comment "no --mark here" -j ACCEPT', 0, false],
]

for (const [what, rule, bits, writes] of MARKS)
  test(`marks of others: ${what}`, (t) => {
    t.deepEqual(conflictsInRules(`*mangle\n${rule}\nCOMMIT`), bits === 0 ? [] : [{ rule, bits, writes }])
  })

test('marks of others: routing rules', (t) => {
  t.deepEqual(conflictsInIpRule('5390:\tfrom all fwmark 0x532000/0xff3000 lookup 5390'), [])
  t.deepEqual(conflictsInIpRule('32766:\tfrom all lookup main'), [])
  t.is(conflictsInIpRule('100:\tfrom all fwmark 0x200/0xf00 lookup 100').length, 0)
  t.is(conflictsInIpRule('100:\tfrom all fwmark 0x1 lookup 100').length, 1)
})

test('shunt check prints hints below their lines and fails only for what is bad', async (t) => {
  const warn = () => Promise.resolve(evaluate({ ...WELL, addonMissing: 'not built' }).slice(0, 5))
  t.deepEqual(await runCommand('check', { node: { check: warn } }), {
    code: 0,
    stdout: golden(`
      LEVEL  NAME          FOUND
      ok     privilege     root
      info   kernel        6.18.0
      ok     iptables      v1.8.9
      ok     nft           v1.0.6
      warn   native addon  not built
              hint: build it with \`npm run build\`; without it nothing can be steered
      0 bad, 1 warnings
    `),
    stderr: '',
  })
  const bad = () => Promise.resolve(evaluate({ ...WELL, uid: 1 }).slice(0, 1))
  const { code, stdout } = await runCommand('check -o json', { node: { check: bad } })
  t.is(code, 1)
  t.deepEqual(JSON.parse(stdout), [
    {
      level: 'bad',
      name: 'privilege',
      found: 'user 1: the kernel cannot be asked or changed',
      hint: 'run as root',
    },
  ])
})
