// The native parts as their Makefile tests them: plain C++ programs under the sanitizers, and the format.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import test from 'ava'

const NATIVE = fileURLToPath(new URL('../../native', import.meta.url))

for (const target of ['test', 'format-check']) {
  test(`make ${target}`, async (t) => {
    t.timeout(900_000)
    const make = spawn('/usr/bin/make', ['-C', NATIVE, target], { stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [make.stdout, make.stderr]) stream.on('data', (chunk) => (text += String(chunk)))
    const [code] = await once(make, 'close')
    t.is(code, 0, text)
  })
}
