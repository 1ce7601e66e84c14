// Bytes as text, for goldens.

export function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex')
}

export function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'))
}
