// Outgoing connections with a mark, a source address and a deadline, made by the addon's thread.

import { ipBytes } from '../model/ip.ts'
import { isPort } from '../model/port.ts'
import { ShuntError } from '../model/errors.ts'
import type { RawAddon } from './native-raw.ts'
import { natural } from './native-sockets.ts'
import type { Connector, ConnectOptions, ConnectResult, PendingConnect } from './native-types.ts'
import { errnoName, kernelCall } from './system-error.ts'
import os from 'node:os'

const { ECANCELED } = os.constants.errno

export function openConnector(raw: RawAddon): Connector {
  const waiting = new Map<number, (result: ConnectResult) => void>()
  let lastId = 0
  let open = true

  const report = (results: Int32Array): void => {
    for (let i = 0; i + 2 < results.length; i += 3) {
      const id = results[i] ?? 0
      const fd = results[i + 1] ?? -1
      const resolve = waiting.get(id)
      waiting.delete(id)
      // Nobody waits after close(): what still arrives is closed, not leaked.
      if (resolve !== undefined) resolve(resultOf(fd, results[i + 2] ?? 0))
      else if (fd >= 0) raw.closeFd(fd)
    }
  }
  const handle = kernelCall('start the connecting thread', () => raw.connectorOpen(report))

  return {
    connect(options) {
      check(options)
      if (!open) throw new ShuntError('INTERNAL', 'the connector is closed')
      do lastId = lastId === 0x7fff_ffff ? 1 : lastId + 1
      while (waiting.has(lastId))
      const id = lastId
      const result = new Promise<ConnectResult>((resolve) => waiting.set(id, resolve))
      raw.connectorConnect(
        handle,
        id,
        ipBytes(options.ip),
        options.port,
        options.mark ?? 0,
        options.timeoutMs ?? 0,
        options.source === undefined ? undefined : ipBytes(options.source),
      )
      return pending(result, () => {
        if (open && waiting.has(id)) raw.connectorCancel(handle, id)
      })
    },
    close() {
      if (!open) return
      open = false
      raw.connectorClose(handle)
      const left = [...waiting.values()]
      waiting.clear()
      for (const resolve of left) resolve(resultOf(-1, ECANCELED))
    },
  }
}

function pending(result: Promise<ConnectResult>, cancel: () => void): PendingConnect {
  return { result, cancel }
}

function resultOf(fd: number, errno: number): ConnectResult {
  return errno === 0 ? { kind: 'connected', fd } : { kind: 'failed', errno, code: errnoName(errno) }
}

function check(options: ConnectOptions): void {
  if (!isPort(options.port)) throw new ShuntError('INTERNAL', 'the port of a connection must be 1 to 65535')
  natural(options.mark ?? 0, 'mark')
  // 0 would mean "no deadline" to the addon, and a deadline of no time at all is a mistake.
  if (options.timeoutMs !== undefined && natural(options.timeoutMs, 'timeoutMs') === 0)
    throw new ShuntError('INTERNAL', 'timeoutMs must not be 0')
}
