#!/usr/bin/env node
// Makes a fresh Debian or Ubuntu machine able to run Shunt from this checkout: system packages, npm packages, the
// addon and the BPF objects. Plain JavaScript without dependencies, because it runs on whatever Node (>= 20) is there
// before anything is installed. Does nothing, quickly, when all is in place.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const stamp = join(root, 'node_modules', '.shunt-setup')

/** Debian package -> a file that proves it is installed. */
const PACKAGES = {
  iptables: '/usr/sbin/iptables-nft',
  ipset: '/usr/sbin/ipset',
  nftables: '/usr/sbin/nft',
  iproute2: '/usr/sbin/ip',
  conntrack: '/usr/sbin/conntrack',
  procps: '/usr/sbin/sysctl',
  'util-linux': '/usr/bin/nsenter',
  curl: '/usr/bin/curl',
  openssl: '/usr/bin/openssl',
  make: '/usr/bin/make',
  'g++': '/usr/bin/g++',
  clang: '/usr/bin/clang',
  'clang-format': '/usr/bin/clang-format',
  'libbpf-dev': '/usr/include/bpf/bpf_helpers.h',
  'linux-libc-dev': '/usr/include/linux/bpf.h',
  bpftool: '/usr/sbin/bpftool',
}

/** Only for tests, which say that they are skipped without it; not every release has it as a package. */
const OPTIONAL = new Set(['bpftool'])
const noOptional = join(root, 'node_modules', '.shunt-no-optional-packages')

function main() {
  requireNode()
  installSystemPackages()
  installNpmPackages()
  run('building the addon and the BPF objects', 'make', ['-s', '-C', join(root, 'native')])
}

function requireNode() {
  const major = Number(process.versions.node.split('.')[0])
  if (major < 20)
    fail(`Node ${process.versions.node} is too old`, 'install Node 20 or newer; Shunt brings its own Node 24')
}

function installSystemPackages() {
  const missing = Object.entries(PACKAGES)
    .filter(([, proof]) => !existsSync(proof))
    .map(([name]) => name)
  const required = missing.filter((name) => !OPTIONAL.has(name))
  if (missing.length === 0 || (required.length === 0 && existsSync(noOptional))) return
  const canInstall = existsSync('/usr/bin/apt-get') && process.getuid?.() === 0
  if (required.length === 0 && !canInstall) return
  if (!existsSync('/usr/bin/apt-get')) {
    fail(
      `missing: ${missing.join(' ')}`,
      "install what these Debian packages hold with your distribution's package manager",
    )
  }
  if (process.getuid?.() !== 0)
    fail(`missing: ${missing.join(' ')}`, `run as root, or: apt-get install ${missing.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  run('apt-get update', 'apt-get', ['update', '-qq'], env)
  const available = missing.filter((name) => !OPTIONAL.has(name) || isAvailable(name))
  if (available.length < missing.length) {
    mkdirSync(dirname(noOptional), { recursive: true })
    writeFileSync(noOptional, missing.filter((name) => !available.includes(name)).join(' '))
  }
  if (available.length === 0) return
  run(
    `installing ${available.join(' ')}`,
    'apt-get',
    ['install', '-y', '-qq', '--no-install-recommends', ...available],
    env,
  )
}

function isAvailable(name) {
  return spawnSync('apt-get', ['install', '--simulate', '-qq', name]).status === 0
}

function installNpmPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === lock &&
    existsSync(join(root, 'node_modules', '.bin', 'node'))
  )
    return
  // Not `npm ci`: it refuses a lock file without the optional binaries of every other platform, which a mirror may not
  // serve. Versions and checksums still come from the lock file, and --no-save leaves it alone.
  run('installing npm packages', 'npm', [
    'install',
    '--no-save',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ])
  // An npm that does not run packages' install scripts leaves out the one step that brings the program itself.
  const fetchNode = join(root, 'node_modules', 'node', 'installArchSpecificPackage.js')
  if (!existsSync(join(root, 'node_modules', '.bin', 'node')) && existsSync(fetchNode)) {
    run('installing Node 24', process.execPath, [fetchNode], process.env, dirname(fetchNode))
    symlinkSync('../node/bin/node', join(root, 'node_modules', '.bin', 'node'))
  }
  if (!existsSync(join(root, 'node_modules', '.bin', 'node')))
    fail('npm did not bring Node 24', 'run `npm install --no-save` and read its output')
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, lock)
}

/** Runs quietly; on failure shows everything that the program said. */
function run(what, program, args, env = process.env, cwd = root) {
  const started = Date.now()
  const result = spawnSync(program, args, { cwd, env, encoding: 'utf8', maxBuffer: 64 << 20 })
  if (result.error !== undefined)
    fail(`${what}: cannot run ${program}: ${result.error.message}`, `install ${program}`)
  if (result.status !== 0) {
    process.stderr.write(result.stdout + result.stderr)
    fail(`${what}: ${program} ended with ${result.status ?? result.signal}`, 'the output above says why')
  }
  const elapsedMs = Date.now() - started
  if (elapsedMs > 1000) process.stderr.write(`setup: ${what} (${(elapsedMs / 1000).toFixed(1)} s)\n`)
}

function fail(what, hint) {
  process.stderr.write(`error: ${what} (SETUP_FAILED)\nhint: ${hint}\n`)
  process.exit(1)
}

main()
