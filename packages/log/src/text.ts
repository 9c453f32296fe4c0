// What a peer sends must not end a line, nor move the cursor of a terminal: C0, DEL, C1, line separators, marks that turn the direction of text.
const SAFE = /^[ !#-[\]-~]*$/
const PLAIN = /^[ -~]*$/
const INVISIBLE = '\\u007f-\\u009f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff'
const CONTROLS = new RegExp(`[${INVISIBLE}]`, 'g')
const TERMINAL = new RegExp(`[\\u0000-\\u001f${INVISIBLE}]`, 'g')

/** Longest text of a line, in UTF-16 units; longer ones end with three dots. */
const LONGEST = 2048

const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

/** A text of bounded length. */
const bounded = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text)

/** A JSON string in which no control character is left as it is. */
export const jsonText = (text: string): string => {
  const short = bounded(text)
  return SAFE.test(short) ? `"${short}"` : JSON.stringify(short).replace(CONTROLS, escaped)
}

/** JSON of any value, with the same escapes; a value that JSON has no form for is its type. */
export const jsonValue = (value: unknown): string => {
  if (typeof value === 'string') return jsonText(value)
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null'
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  try {
    return (JSON.stringify(value, plainer) ?? `"[${typeof value}]"`).replace(CONTROLS, escaped)
  } catch {
    return '"[unprintable]"'
  }
}

const plainer = (_: string, value: unknown): unknown =>
  typeof value === 'bigint' ? String(value) : typeof value === 'string' ? bounded(value) : value

/** Text for a terminal: one line, and no control character in it. */
export const plainText = (text: string): string => {
  const short = bounded(text)
  return PLAIN.test(short) ? short : short.replace(TERMINAL, escaped)
}
