#!/usr/bin/env node
// The command `shunt`: parses argv, runs a command, sets the exit code.

import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// Halves the time to the first line of output. Beside the code and not in the shared /tmp that is Node's default: whoever
// writes the cache writes what we run as root. Where the folder is read-only nothing is kept.
enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'shunt'))

// Whoever reads our output may stop early (`shunt diff | head`); that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

// Loaded only now, so that the cache serves them.
const { COMMANDS } = await import('./cli/commands.ts')
const { runCli } = await import('./cli/program.ts')
const { realPorts } = await import('./cli/real-ports.ts')

process.exitCode = await runCli(process.argv.slice(2), COMMANDS, realPorts())
