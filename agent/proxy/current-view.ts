// The view in force, and who gave it. Views are swapped whole: a decision holds the one that it was made from.

import type { ProxyView } from './decision/view.ts'

export type ViewSource = 'agent' | 'disk'

export class CurrentView {
  readonly #listeners: ((view: ProxyView) => void)[] = []
  #view: ProxyView | undefined
  #source: ViewSource = 'disk'

  get view(): ProxyView | undefined {
    return this.#view
  }

  get source(): ViewSource {
    return this.#source
  }

  set(view: ProxyView, source: ViewSource): void {
    this.#view = view
    this.#source = source
    for (const listener of this.#listeners) listener(view)
  }

  onChange(listener: (view: ProxyView) => void): void {
    this.#listeners.push(listener)
  }
}
