import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'

import test from 'ava'

import { applySysctls, readSysctl, writeSysctl, type SysctlSetting } from '#agent/kernel/sysctl.ts'
import { ShuntError } from '#agent/model/errors.ts'
import { quietLog } from '../support/quiet-log.ts'

function aRoot(t: { teardown(fn: () => void): void }, values: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(`${tmpdir()}/shunt-sysctl-`)
  t.teardown(() => {
    rmSync(root, { recursive: true })
  })
  for (const [path, value] of Object.entries(values)) {
    mkdirSync(`${root}/${path.slice(0, path.lastIndexOf('/'))}`, { recursive: true })
    writeFileSync(`${root}/${path}`, `${value}\n`)
  }
  return root
}

function setting(name: string, value: number, more: Partial<SysctlSetting> = {}): SysctlSetting {
  return { name, value, onlyRaise: false, required: true, ...more }
}

test('a setting is read without its line end; a missing one is undefined', (t) => {
  const root = aRoot(t, { 'net/ipv4/ip_forward': '1', 'net/ipv4/conf/eth0.1/rp_filter': '2' })
  t.is(readSysctl('net.ipv4.ip_forward', root), '1')
  t.is(readSysctl('net.ipv4.conf.eth0/1.rp_filter', root), '2')
  t.is(readSysctl('net.ipv4.nothing', root), undefined)
  t.regex(readSysctl('net.ipv4.ip_forward') ?? '', /^[01]$/)
})

test('what is as wanted is not written, what differs is', (t) => {
  const root = aRoot(t, { 'net/a': '1', 'net/b': '0', 'net/high': '500', 'net/low': '5' })
  const log = quietLog()
  const setbacks = applySysctls(
    [
      setting('net.a', 1),
      setting('net.b', 1),
      setting('net.high', 100, { onlyRaise: true }),
      setting('net.low', 100, { onlyRaise: true }),
    ],
    log,
    root,
  )
  t.deepEqual(setbacks, [])
  t.deepEqual(
    log.lines.map(({ level, fields }) => [level, fields]),
    [
      ['info', { sysctl: 'net.b', from: '0', to: 1 }],
      ['info', { sysctl: 'net.low', from: '5', to: 100 }],
    ],
  )
  t.is(readSysctl('net.b', root)?.trim(), '1')
  t.is(readFileSync(`${root}/net/high`, 'utf8'), '500\n')
})

test('what cannot be written is a warning, and a setback only if it is required', (t) => {
  const root = aRoot(t, {})
  const log = quietLog()
  const setbacks = applySysctls(
    [setting('net.gone', 1), setting('net.wish', 1, { required: false })],
    log,
    root,
  )
  t.is(setbacks.length, 1)
  t.regex(setbacks[0] ?? '', /^sysctl net\.gone=1 failed: .*ENOENT.*not known to this kernel/)
  t.deepEqual(
    log.lines.map(({ level }) => level),
    ['warn', 'warn'],
  )
})

test('a failed write has a code', (t) => {
  const error = t.throws(() => writeSysctl('net.gone', 1, aRoot(t, {})), { instanceOf: ShuntError })
  t.is(error.code, 'SYSCTL_FAILED')
})
