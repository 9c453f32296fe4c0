import { IopaError } from '@iopa/constants'

// HTTP clients of Node read heads of 16 KiB, and ours of every protocol 100 fields; transports add some.
const MOST_FIELDS = 96
const MOST_CHARACTERS = 15 * 1024
// Between a name and its value, and after it.
const FIELD_OVERHEAD = 4

/** True for more header fields than the usual peer reads; `pairs` are names and values in turn. */
export const isHeadTooLarge = (pairs: readonly string[]): boolean => {
  if (pairs.length > 2 * MOST_FIELDS) return true
  let size = 0
  for (let at = 0; at < pairs.length; at += 2) size += (pairs[at] as string).length + (pairs[at + 1] as string).length + FIELD_OVERHEAD
  return size > MOST_CHARACTERS
}

/** The error for such a head. */
export const headTooLarge = (): IopaError =>
  new IopaError(500, 'answer-head-too-large', `An answer has at most ${MOST_FIELDS} header fields of ${MOST_CHARACTERS} characters together.`)
