// A map that is handed out as it is and copied only when it changes afterwards.

export class SharedMap<K, V> {
  #map = new Map<K, V>()
  #shared = false

  get(key: K): V | undefined {
    return this.#map.get(key)
  }

  /** The map as it is now; it never changes again, and is the same value until this one does. */
  share(): ReadonlyMap<K, V> {
    this.#shared = true
    return this.#map
  }

  /** Sets, or deletes for undefined. */
  put(key: K, value: V | undefined): void {
    if (this.#map.get(key) === value) return
    if (this.#shared) {
      this.#map = new Map(this.#map)
      this.#shared = false
    }
    if (value === undefined) this.#map.delete(key)
    else this.#map.set(key, value)
  }
}
