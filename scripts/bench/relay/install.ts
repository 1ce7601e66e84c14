// The peers of the comparison are Debian packages; they are installed when a benchmark first needs them.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Debian package -> a file that proves it is installed. */
const PACKAGES: Readonly<Record<string, string>> = {
  haproxy: '/usr/sbin/haproxy',
  'nginx-light': '/usr/sbin/nginx',
  'libnginx-mod-stream': '/usr/lib/nginx/modules/ngx_stream_module.so',
}

export function installPeers(): void {
  const missing = Object.keys(PACKAGES).filter((name) => !existsSync(PACKAGES[name] ?? ''))
  if (missing.length === 0) return
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...missing]
  if (aptGet(install) || (aptGet(['update', '-qq']) && aptGet(install))) return
  throw new Error(`apt-get cannot install ${missing.join(' ')}: the relay is compared with them`)
}

function aptGet(args: readonly string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  return spawnSync('/usr/bin/apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env }).status === 0
}
