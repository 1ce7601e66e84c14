// Giving up root: what is left afterwards, in every thread, and that what the proxy needs still works.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import test from 'ava'

test('the proxy keeps two capabilities and nothing else', async (t) => {
  // A network namespace of its own: the test opens a port there.
  const main = fileURLToPath(new URL('./privileges-main.ts', import.meta.url))
  const child = spawn('/usr/bin/unshare', ['--net', process.execPath, main], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 30_000,
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  const [code] = await once(child, 'close')
  t.is(code, 0)
  const { others, becomeRoot, again, markedConnect, ...rest } = JSON.parse(output) as Record<string, string>
  const id = '15001\t15001\t15001\t15001'
  t.deepEqual(rest as unknown, {
    uids: [id],
    gids: [id],
    groups: '',
    // Bits 10 and 12.
    effective: '0000000000001400',
    inheritable: '0000000000000000',
    noNewPrivileges: '1',
    lowPort: 'allowed',
    heartbeat: 'no-sets',
  })
  // Threads that were there before have none; the main thread has its two.
  t.deepEqual(others as unknown, ['0000000000000000', '0000000000001400'])
  // ENETUNREACH: `lo` is down in the new namespace. EPERM would mean that the mark was refused.
  t.is(markedConnect, 'ENETUNREACH')
  t.regex(becomeRoot ?? '', /EPERM/)
  t.regex(again ?? '', /^become user 0 and group 0: setgroups: Operation not permitted$/)
})
