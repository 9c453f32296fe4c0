/** The keys of the history of one document. */
export interface HistoryRange {
  /** Begins all of them. */
  readonly prefix: string
  /** The key of a version; keys are in the order of versions. */
  keyOf(version: number): string
  versionOf(key: string): number
}

/** Digits of a version: all safe integers fit. */
const DIGITS = 11

/** The length of the key of the document stands first, so that no range lies within another. */
export const historyRange = (prefix: string, key: string): HistoryRange => {
  const own = `${prefix}${key.length.toString(36)}\0${key}\0`
  return {
    prefix: own,
    keyOf: version => own + version.toString(36).padStart(DIGITS, '0'),
    versionOf: stored => Number.parseInt(stored.slice(own.length), 36)
  }
}
