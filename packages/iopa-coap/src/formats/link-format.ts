import { IopaError } from '@iopa/transport'

/** The value of a target attribute: text, a number, `true` for one without value, or a list that is written as words with spaces between. */
export type LinkAttribute = string | number | boolean | readonly (string | number)[]

/** One link of a link-format document (RFC 6690 section 2). */
export interface CoreLink {
  /** URI reference of the target, percent-encoded. */
  readonly href: string
  /** Target attributes such as `rt`, `if`, `ct`, `sz`, `obs`, `title`; `false` leaves one out. */
  readonly attributes: Readonly<Record<string, LinkAttribute>>
}

/** What the parser gives: every attribute as text, or `true` for one without value. */
export interface ParsedLink extends CoreLink {
  readonly attributes: Readonly<Record<string, string | true>>
}

// parmname of RFC 5987, which RFC 6690 section 2 takes its link-extensions from.
const NAME = /^[\w!#$&+.^`|~-]+\*?$/
// Cardinals in the grammar (RFC 6690 section 2, RFC 7252 section 7.2.1), so never quoted.
const CARDINALS = new Set(['sz', 'ct'])

/** Writes links as `application/link-format` text. Throws when an attribute's name is no token: the app gave it, no peer did. */
export function serializeLinks(links: Iterable<CoreLink>): string {
  let text = ''
  for (const { href, attributes } of links) {
    text += text ? `,<${href}>` : `<${href}>`
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === undefined) continue
      if (!NAME.test(name)) throw new IopaError(500, 'link-attribute', `'${name}' is no name for a link attribute: use letters, digits and hyphens`)
      text += value === true ? `;${name}` : `;${name}=${serializeValue(name, value)}`
    }
  }
  return text
}

/** The URI reference of a path whose segments are decoded: what may not stand in a path segment is percent-encoded (RFC 3986 section 3.3). */
export function hrefOf(path: string): string {
  return path
    .split('/')
    .map(segment => encodeURIComponent(segment.replace(/\p{Surrogate}/gu, '\ufffd')).replace(/%(?:24|26|2B|2C|3A|3B|3D|40)/g, decodeURIComponent))
    .join('/')
}

function serializeValue(name: string, value: string | number | readonly (string | number)[]): string {
  const text = Array.isArray(value) ? value.join(' ') : String(value)
  if (typeof value === 'number' || (CARDINALS.has(name) && /^\d+$/.test(text))) return text
  // A quoted-string holds no control characters.
  return `"${text.replace(/[\u0000-\u001f\u007f]+/g, ' ').replace(/["\\]/g, '\\$&')}"`
}

/** Bounds of a list that is read. */
export interface LinkLimits {
  /** Most links; 10,000 unless given. */
  readonly links?: number
  /** Most attributes of one link; 64 unless given. */
  readonly attributes?: number
}

/**
 * Reads `application/link-format` text in one pass; it accepts white space around separators. The first of two equal attributes counts.
 * @throws IopaError 400 that names the offset where the text is no link list, or goes beyond a limit.
 */
export function parseLinks(text: string, { links: most = 10_000, attributes: mostAttributes = 64 }: LinkLimits = {}): ParsedLink[] {
  const links: ParsedLink[] = []
  let at = 0
  const fail = (): never => {
    throw new IopaError(400, 'malformed-link-format', `Link format breaks off at character ${at}: expected <uri>;name=value,...`)
  }
  const within = (count: number, limit: number, what: string): void => {
    if (count >= limit) throw new IopaError(400, 'malformed-link-format', `There are more than ${limit} ${what} at character ${at}.`)
  }
  const space = (): void => {
    while (at < text.length && ' \t\r\n'.includes(text[at]!)) at++
  }
  const quoted = (): string => {
    let value = ''
    for (at++; at < text.length; at++) {
      if (text[at] === '"') {
        at++
        return value
      }
      if (text[at] === '\\') at++
      value += text[at] ?? ''
    }
    return fail()
  }
  for (space(); at < text.length; ) {
    if (text[at] !== '<') fail()
    within(links.length, most, 'links')
    const end = text.indexOf('>', at)
    if (end < 0) fail()
    const href = text.slice(at + 1, end)
    const attributes: Record<string, string | true> = Object.create(null)
    // A target has no white space or control characters, and no further bracket (RFC 3986 appendix A).
    if (/[\u0000- <\u007f]/.test(href)) fail()
    at = end + 1
    let count = 0
    for (space(); text[at] === ';'; space()) {
      within(count++, mostAttributes, 'attributes')
      at++
      space()
      const name = match(NAME_HERE, text, at)
      if (!name) fail()
      at += name.length
      space()
      let value: string | true = true
      if (text[at] === '=') {
        at++
        space()
        if (text[at] === '"') value = quoted()
        else {
          value = match(VALUE_HERE, text, at)
          if (value === '') fail()
          at += value.length
        }
      }
      attributes[name] ??= value
    }
    links.push({ href, attributes })
    if (at === text.length) break
    if (text[at] !== ',') fail()
    at++
    space()
    if (at === text.length) fail()
  }
  return links
}

const NAME_HERE = /[\w!#$&+.^`|~-]+\*?/y
// ptoken of RFC 6690 section 2.
const VALUE_HERE = /[!#-+./:<=>?@\w[\]^`{|}~-]+/y

function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? ''
}

/**
 * The links that a query asks for (RFC 6690 section 4.1). `query` holds decoded Uri-Query values, `name=pattern` each; a link has to match all.
 * A pattern ends with `*` to match a prefix; `rel`, `rt`, `if` and `ct` match when one of their words does; `href` compares with the target;
 * a name alone asks for the attribute in any form.
 */
export function filterLinks<L extends CoreLink>(links: Iterable<L>, query: Iterable<string>): L[] {
  const tests = Array.from(query, testOf)
  return Array.from(links).filter(link => tests.every(test => test(link)))
}

// Relation types are lists of words in RFC 6690 section 4.1; ct became one in RFC 7252 section 7.2.1.
const WORD_LISTS = new Set(['rel', 'rev', 'rt', 'if', 'ct'])

function testOf(part: string): (link: CoreLink) => boolean {
  const equals = part.indexOf('=')
  const name = equals < 0 ? part : part.slice(0, equals)
  const pattern = equals < 0 ? '*' : part.slice(equals + 1)
  const prefix = pattern.endsWith('*') ? pattern.slice(0, -1) : undefined
  const matches = (value: string): boolean => (prefix === undefined ? value === pattern : value.startsWith(prefix))
  if (name === 'href') return ({ href }) => matches(href) || matches(decoded(href))
  return ({ attributes }) => {
    const value = Object.hasOwn(attributes, name) ? attributes[name] : undefined
    if (value === undefined || value === false) return false
    const text = value === true ? '' : Array.isArray(value) ? value.join(' ') : String(value)
    return matches(text) || (WORD_LISTS.has(name) && text.split(/\s+/).some(matches))
  }
}

function decoded(href: string): string {
  try {
    return decodeURIComponent(href)
  } catch {
    return href
  }
}
