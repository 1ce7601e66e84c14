// One visit to one peer, printed: `node scripts/bench/relay/try.ts shunt`; for whoever changes the relay.

import { quieten } from '../quiet.ts'
import { visit, visitMemory } from './measure.ts'
import { PEER_TITLES, type PeerName } from './peers.ts'

const name = process.argv[2] ?? 'shunt'
if (!(name in PEER_TITLES)) throw new Error(`peers: ${Object.keys(PEER_TITLES).join(', ')}`)
const quiet = quieten()
const figures = await visit(name as PeerName, 6000)
console.log(JSON.stringify(figures, undefined, 1))
if (name !== 'direct') console.log(JSON.stringify(await visitMemory(name as PeerName, 9000)))
quiet.end()
