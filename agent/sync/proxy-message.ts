// Decodes what a proxy says on the control channel. A sentence instead of a message says what is wrong with it.

import { VIEW_VERSION, type ProxyMessage } from '../proxy/decision/view.ts'

export function proxyMessage(value: unknown): ProxyMessage | string {
  if (!isRecord(value)) return 'a message is no object'
  switch (value['kind']) {
    case 'hello':
      return hello(value)
    case 'ack':
      return isCount(value['generation'])
        ? { kind: 'ack', generation: value['generation'] }
        : 'an acknowledgement has no generation'
    case 'resync':
      return { kind: 'resync', because: String(value['because']).slice(0, 2_000) }
    default:
      return `messages of kind ${JSON.stringify(value['kind'])} are unknown`
  }
}

function hello(value: Readonly<Record<string, unknown>>): ProxyMessage | string {
  const { version, pid, have, skLookup } = value
  if (version !== VIEW_VERSION)
    return `the proxy speaks version ${JSON.stringify(version)} of the view, the agent ${VIEW_VERSION}`
  if (!isCount(pid) || typeof skLookup !== 'boolean') return 'a hello lacks pid or skLookup'
  if (have === null) return { kind: 'hello', version: VIEW_VERSION, pid, have, skLookup }
  if (!isRecord(have) || typeof have['epoch'] !== 'string' || !isCount(have['generation']))
    return 'a hello has no readable `have`'
  const { epoch, generation } = have
  return { kind: 'hello', version: VIEW_VERSION, pid, have: { epoch, generation }, skLookup }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
