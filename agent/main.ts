#!/usr/bin/env node
// The command `shunt`: parses argv, runs a command, sets the exit code.

import { COMMANDS } from './cli/commands.ts'
import { runCli } from './cli/program.ts'
import { realPorts } from './cli/real-ports.ts'

// Whoever reads our output may stop early (`shunt diff | head`); that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

process.exitCode = await runCli(process.argv.slice(2), COMMANDS, realPorts())
