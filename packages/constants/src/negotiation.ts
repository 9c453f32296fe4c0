// Elements of a list; a comma within a quoted string does not end one.
const ELEMENT = /(?:[^,"]|"(?:[^"\\]|\\.)*")+/g

// RFC 9110 section 12.4.2; anything else is no weight.
const WEIGHT = /^q\s*=\s*([01](?:\.\d{0,3})?)$/i

/**
 * The weight that an Accept header gives to a media type, 0 to 1; 1 for an empty header. The most specific range counts (RFC 9110 section 12.5.1), and
 * parameters of a range other than its weight are ignored.
 */
export const weightOf = (mediaType: string, accept: string): number => {
  if (accept === '') return 1
  const anySubtype = `${mediaType.slice(0, mediaType.indexOf('/'))}/*`
  let closest = 0
  let weight = 0
  for (const element of accept.match(ELEMENT) ?? []) {
    const [range = '', ...parameters] = element.split(';').map(part => part.trim())
    const type = range.toLowerCase()
    const specific = type === mediaType ? 3 : type === anySubtype ? 2 : type === '*/*' ? 1 : 0
    if (specific === 0 || specific < closest) continue
    const quality = weightIn(parameters)
    weight = specific > closest ? quality : Math.max(weight, quality)
    closest = specific
  }
  return weight
}

const weightIn = (parameters: readonly string[]): number => {
  for (const parameter of parameters) {
    const given = WEIGHT.exec(parameter)
    if (given !== null) return Math.min(1, Number(given[1]))
  }
  return 1
}
