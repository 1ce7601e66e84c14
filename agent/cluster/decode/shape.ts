// A small language for the fields of a kind of ours, as a value: the decoder reads objects by it, the schema of the
// CustomResourceDefinition and the page of the fields are written from it, so that the three cannot differ.

/** One field. `meaning` is a sentence for people who write the object. */
interface Described {
  readonly meaning: string
  readonly required?: true
}

export interface DurationShape extends Described {
  readonly type: 'duration'
  readonly min: number
  readonly max: number
  /** Milliseconds. */
  readonly default?: number
}

export interface NumberShape extends Described {
  /** `number` may have a fraction. */
  readonly type: 'integer' | 'number'
  readonly min: number
  readonly max: number
  readonly default?: number
}

export interface FlagShape extends Described {
  readonly type: 'flag'
  readonly default?: boolean
}

export interface WordShape<W extends string = string> extends Described {
  readonly type: 'word'
  readonly words: readonly W[]
  readonly default?: W
}

export interface TextShape extends Described {
  readonly type: 'text'
  /** Of the whole text. */
  readonly pattern: string
  /** The same in words: `expected …`. */
  readonly rule: string
  readonly maxLength: number
}

export interface CidrsShape extends Described {
  readonly type: 'cidrs'
  readonly maxItems: number
}

export interface MapShape extends Described {
  readonly type: 'map'
  readonly fields: Readonly<Record<string, Shape>>
  /** Exactly one of these fields must be there. */
  readonly oneOf?: readonly string[]
  /** The first field may not be greater than the second; both durations, or both numbers. */
  readonly notAbove?: readonly (readonly [string, string])[]
}

export interface MapsShape extends Described {
  readonly type: 'maps'
  readonly of: MapShape
  readonly minItems?: number
  readonly maxItems: number
  /** No two items may agree in all of these fields. */
  readonly unique?: readonly string[]
}

export type Shape =
  | DurationShape
  | NumberShape
  | FlagShape
  | WordShape
  | TextShape
  | CidrsShape
  | MapShape
  | MapsShape

export const CIDR_PATTERN = '^[0-9a-fA-F:.]{2,39}/[0-9]{1,3}$'
export const CIDR_MAX_LENGTH = 43
