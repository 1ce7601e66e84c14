// Addresses in messages of the relay: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. The same few clients and
// endpoints come again and again, so both ways remember what they made.

import { ipBytes, ipFromBytes, ipv4Number, type Ip } from '../model/ip.ts'

/** Then everything is forgotten: cheaper than to know which are the oldest. */
const REMEMBERED = 4_096

export class RelayAddresses {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #texts = new Map<number, Ip>()
  readonly #v6 = new Map<Ip, Uint8Array>()

  /** Addresses are read from and written into this memory. */
  constructor(memory: ArrayBuffer) {
    this.#bytes = new Uint8Array(memory)
    this.#view = new DataView(memory)
  }

  read(at: number): Ip {
    const view = this.#view
    if (view.getInt32(at) !== 0 || view.getInt32(at + 4) !== 0 || view.getInt32(at + 8) !== 0xffff)
      return ipFromBytes(this.#bytes.subarray(at, at + 16))
    // Signed, because that is what fits a small integer of V8's.
    const v4 = view.getInt32(at + 12)
    const known = this.#texts.get(v4)
    if (known !== undefined) return known
    const bytes = this.#bytes
    const text = `${bytes[at + 12]}.${bytes[at + 13]}.${bytes[at + 14]}.${bytes[at + 15]}` as Ip
    if (this.#texts.size >= REMEMBERED) this.#texts.clear()
    this.#texts.set(v4, text)
    return text
  }

  write(at: number, ip: Ip): void {
    const view = this.#view
    if (ip.includes(':')) return this.#bytes.set(this.#v6Bytes(ip), at)
    view.setInt32(at, 0)
    view.setInt32(at + 4, 0)
    view.setInt32(at + 8, 0xffff)
    view.setUint32(at + 12, ipv4Number(ip))
  }

  #v6Bytes(ip: Ip): Uint8Array {
    const known = this.#v6.get(ip)
    if (known !== undefined) return known
    const bytes = ipBytes(ip)
    if (this.#v6.size >= REMEMBERED) this.#v6.clear()
    this.#v6.set(ip, bytes)
    return bytes
  }
}
