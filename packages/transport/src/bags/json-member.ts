// Finds the text of a member in JSON that JSON.parse has accepted: the value that JSON.parse gives is not the text. It
// rounds large numbers, reorders numeric keys and keeps one of two equal keys.

const QUOTE = 0x22
const BACKSLASH = 0x5c

const isSpace = (unit: number): boolean => unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09

/** Index after the string that begins at `at`. */
const endOfString = (json: string, at: number): number => {
  for (let end = json.indexOf('"', at + 1); ; end = json.indexOf('"', end + 1)) {
    let first = end
    while (json.charCodeAt(first - 1) === BACKSLASH) first--
    // An even number of backslashes escape each other, and not the quote.
    if ((end - first) % 2 === 0) return end + 1
  }
}

/** Index after the value that begins at `at`. */
const endOfValue = (json: string, at: number): number => {
  const first = json.charCodeAt(at)
  if (first === QUOTE) return endOfString(json, at)
  let end = at
  if (first !== 0x7b && first !== 0x5b) {
    for (let unit = first; unit !== 0x2c && unit !== 0x7d && !isSpace(unit); unit = json.charCodeAt(end)) end++
    return end
  }
  for (let depth = 0; ; ) {
    const unit = json.charCodeAt(end)
    if (unit === QUOTE) {
      end = endOfString(json, end)
      continue
    }
    end++
    // `[` is 0x5b, `{` 0x7b, `]` 0x5d, `}` 0x7d.
    if ((unit | 0x20) === 0x7b) depth++
    else if ((unit | 0x20) === 0x7d && --depth === 0) return end
  }
}

/** True when the name from `start` to `end` is `name`; one with escapes is longer. */
const isName = (json: string, start: number, end: number, name: string): boolean => {
  if (end - start < name.length) return false
  if (end - start === name.length) return json.startsWith(name, start)
  const written = json.slice(start, end)
  return written.includes('\\') && JSON.parse(`"${written}"`) === name
}

/** Text of the last member `name` of a JSON object, the one that JSON.parse gives; empty without one. `json` must be valid. */
export const memberText = (json: string, name: string): string => {
  let found = ''
  for (let at = json.indexOf('"'); at >= 0; at = json.indexOf('"', at)) {
    const afterName = endOfString(json, at)
    const isNamed = isName(json, at + 1, afterName - 1, name)
    let start = json.indexOf(':', afterName) + 1
    while (isSpace(json.charCodeAt(start))) start++
    at = endOfValue(json, start)
    if (isNamed) found = json.slice(start, at)
  }
  return found
}
