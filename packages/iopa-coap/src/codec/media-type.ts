// Media types that another specification calls the same thing (RFC 7303 section 9.2, RFC 9239 section 6).
const SYNONYMS: Readonly<Record<string, string>> = { 'text/xml': 'application/xml', 'text/javascript': 'application/javascript' }

/** A media type taken apart (RFC 9110 section 8.3.1), everything in lower case. */
export interface MediaType {
  /** `type/subtype`; of two names for the same thing the registered one. */
  readonly type: string
  /** `;name=value`, sorted, without `charset` and `q`. */
  readonly parameters: readonly string[]
  /** `utf-8` and so on; undefined when none is given. */
  readonly charset: string | undefined
}

// RFC 9110 sections 8.3.1 and 5.6.6.
const TYPE = /^\s*([\w!#$&^.+-]+\/[\w!#$&^.+-]+)\s*(?:;|$)/
const PARAMETER = /;\s*(?:([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+)))?\s*/y

/** Reads a media type with its parameters; undefined when it is none, or over 256 characters. */
export function parseMediaType(text: string): MediaType | undefined {
  if (text.length > 256) return undefined
  const head = TYPE.exec(text)
  if (!head) return undefined
  const parameters: string[] = []
  let charset: string | undefined
  let at = text.indexOf(';')
  while (at >= 0 && at < text.length) {
    PARAMETER.lastIndex = at
    const match = PARAMETER.exec(text)
    if (!match) return undefined
    at = PARAMETER.lastIndex
    if (match[1] === undefined) continue
    const name = match[1].toLowerCase()
    const value = (match[2]?.replace(/\\(.)/g, '$1') ?? match[3]!).toLowerCase()
    if (name === 'charset') charset = value
    else if (name !== 'q') parameters.push(`;${name}=${value}`)
  }
  const type = head[1]!.toLowerCase()
  return { type: SYNONYMS[type] ?? type, parameters: parameters.sort(), charset }
}
