// Reads the first bytes of a connection as far as its decision wants them: a PROXY header, then a TLS ClientHello behind
// it. Pure; the bytes stay where they are until the engine is told to skip the header.

import type { Peeked, PeekDecision } from './decision/decision.ts'
import { readProxyHeader } from './decision/proxy-protocol.ts'
import { readClientHello } from './decision/tls/client-hello.ts'

export type Opening =
  /** So many bytes are needed to say more. */
  | { readonly kind: 'more'; readonly atLeastBytes: number }
  /** Without `proxy` where a header was wanted: there is none. */
  | { readonly kind: 'read'; readonly peeked: Peeked; readonly looks: readonly Look[] }

/** For the metric. */
export interface Look {
  readonly lookedFor: 'proxy-header' | 'tls-hello'
  readonly result: 'read' | 'malformed' | 'incomplete'
}

/** `over`: no more bytes will come, or the time for them is over. */
export function readOpening(bytes: Uint8Array, over: boolean, wanted: PeekDecision['wanted']): Opening {
  if (!wanted.proxyHeader) return readTls(bytes, over, wanted.tls, {}, [], 0)
  const header = readProxyHeader(bytes)
  switch (header.kind) {
    case 'more':
      return over ? noHeader(TOO_FEW, 'incomplete') : header
    case 'bad':
      return noHeader(header.because, 'malformed')
    case 'header': {
      const { client, headerBytes } = header
      const peeked = { proxy: { client, headerBytes } }
      const looks = [look('proxy-header', 'read')]
      return readTls(bytes.subarray(headerBytes), over, wanted.tls, peeked, looks, headerBytes)
    }
  }
}

function readTls(
  bytes: Uint8Array,
  over: boolean,
  isWanted: boolean,
  peeked: Peeked,
  looks: readonly Look[],
  bytesBefore: number,
): Opening {
  if (!isWanted) return { kind: 'read', peeked, looks }
  const hello = readClientHello(bytes)
  switch (hello.kind) {
    case 'more':
      return over
        ? {
            kind: 'read',
            peeked: { ...peeked, tls: { kind: 'other', because: TOO_FEW } },
            looks: [...looks, look('tls-hello', 'incomplete')],
          }
        : { kind: 'more', atLeastBytes: bytesBefore + hello.atLeastBytes }
    case 'other':
      return {
        kind: 'read',
        peeked: { ...peeked, tls: { kind: 'other', because: hello.because } },
        looks: [...looks, look('tls-hello', 'malformed')],
      }
    case 'hello':
      return {
        kind: 'read',
        peeked: { ...peeked, tls: { kind: 'hello', serverName: hello.serverName } },
        looks: [...looks, look('tls-hello', 'read')],
      }
  }
}

const TOO_FEW = 'no more bytes came in time'

function noHeader(because: string, result: Look['result']): Opening {
  return { kind: 'read', peeked: { noProxyHeader: because }, looks: [look('proxy-header', result)] }
}

function look(lookedFor: Look['lookedFor'], result: Look['result']): Look {
  return { lookedFor, result }
}
