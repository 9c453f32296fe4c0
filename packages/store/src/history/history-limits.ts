import { optionError } from '@iopa/appbuilder/extension'

/** Option `history` of `store()`: how much of the past is kept. */
export interface HistoryOptions {
  /** Most states of one document; an eighth more for a moment. 1000 unless given. */
  readonly keep?: number
  /** Days that a state is kept; without end unless given. */
  readonly days?: number
  /** Bytes of the states of one document; an eighth more for a moment. 1 MiB unless given. */
  readonly bytes?: number
}

export interface HistoryLimits {
  readonly keep: number
  /** Milliseconds. */
  readonly age: number
  readonly bytes: number
}

const DAY = 86_400_000
const NAMES: readonly string[] = ['keep', 'days', 'bytes'] satisfies (keyof HistoryOptions)[]

/** @throws IopaError 500 `bad-option`. */
export const historyLimits = (options: HistoryOptions): HistoryLimits => {
  for (const [name, value] of Object.entries(options)) {
    if (!NAMES.includes(name)) throw optionError(`history of store() has no '${name}': it has ${NAMES.join(', ')}.`)
    if (typeof value !== 'number' || !(value > 0)) throw optionError(`history.${name} of store() is a number above 0, not ${String(value)}.`)
  }
  const { keep = 1000, days = Number.POSITIVE_INFINITY, bytes = 2 ** 20 } = options
  return { keep, age: days * DAY, bytes }
}
