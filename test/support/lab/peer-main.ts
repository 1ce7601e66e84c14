// The peer process: takes requests from the test over the IPC channel and answers each. Ends with the test, unless
// it is told to stay.

import type { Socket } from 'node:net'

import { ask, open, probeMany, streamProbes, type Running } from './peer-client.ts'
import type { PeerReply, PeerRequest, RequestFrame } from './peer-messages.ts'
import { createListeners } from './peer-server.ts'

const listeners = createListeners()
const streams = new Map<number, Running>()
const held = new Map<number, Socket>()

process.on('message', (message) => {
  const frame = message as RequestFrame
  perform(frame.request)
    .catch((error: unknown): PeerReply => ({ kind: 'failed', message: String(error) }))
    .then((reply) => process.send?.({ id: frame.id, reply }))
    .catch(() => process.exit(1))
})
if (process.argv.includes('--stay')) setInterval(() => undefined, 1 << 30)
else process.on('disconnect', () => process.exit(0))

async function perform(request: PeerRequest): Promise<PeerReply> {
  switch (request.kind) {
    case 'listen':
      await listeners.listen(request)
      return { kind: 'done' }
    case 'unlisten':
      await listeners.unlisten(request)
      return { kind: 'done' }
    case 'connect':
      return { kind: 'seen', seen: await probeMany(request) }
    case 'stream':
      streams.set(request.stream, streamProbes(request))
      return { kind: 'done' }
    case 'stop': {
      const stream = streams.get(request.stream)
      streams.delete(request.stream)
      return { kind: 'streamed', timed: stream === undefined ? [] : await stream.stop() }
    }
    case 'hold': {
      const socket = await open({ protocol: 'tcp', ...request })
      if ('kind' in socket) return { kind: 'seen', seen: [socket] }
      held.set(request.held, socket)
      if (request.silent) return { kind: 'seen', seen: [{ kind: 'mute', ms: 0 }] }
      return { kind: 'seen', seen: [await ask(socket, request.timeoutMs)] }
    }
    case 'ask': {
      const socket = held.get(request.held)
      if (socket === undefined) return { kind: 'failed', message: 'no such connection' }
      return { kind: 'seen', seen: [await ask(socket, request.timeoutMs)] }
    }
    case 'finish':
      held.get(request.held)?.end()
      return { kind: 'done' }
    case 'drop':
      held.get(request.held)?.destroy()
      held.delete(request.held)
      return { kind: 'done' }
  }
}
