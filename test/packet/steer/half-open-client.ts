// A client that ignores the end of its connection: connects, tells that it was answered, and on SIGUSR2 sends until it is
// told that nobody is there. Arguments: address. Prints the code of the error, or `none` after four seconds.

import net from 'node:net'

const [, , host = ''] = process.argv
const socket = net.connect({ host, port: 80, allowHalfOpen: true }, () => socket.write('hello\n'))
socket.on('data', () => process.stdout.write('answered\n'))
socket.on('error', (error: NodeJS.ErrnoException) => {
  process.stdout.write(`${error.code}\n`)
  process.exit(0)
})
process.on('SIGUSR2', () => {
  setInterval(() => socket.write('more\n'), 100)
  setTimeout(() => {
    process.stdout.write('none\n')
    process.exit(0)
  }, 4000)
})
// Node would end here: a socket that only waits to be written to keeps no process alive.
setInterval(() => undefined, 60_000)
