import type { IopaError } from '@iopa/transport'
import { malformed, otherVersion } from './refusal.ts'
import type { HeadFields, RequestHead } from './request-head.ts'

export const CR = 13
export const LF = 10
export const TAB = 9
export const SPACE = 32
const COLON = 58
const DELETE = 127

const table = (characters: string): Uint8Array => {
  const members = new Uint8Array(256)
  for (const character of characters) members[character.charCodeAt(0)] = 1
  return members
}

const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const SYMBOLS = "!#$%&'*+-.^_`|~0123456789"
/** What names are made of (RFC 9110 section 5.6.2). */
const TOKEN = table(SYMBOLS + UPPER + UPPER.toLowerCase())
const FIRST_OF_METHOD = table(UPPER)
/** Methods in use are capital letters and hyphens. Other tokens (RFC 9110 section 9.1) are mistakes, or bytes of something else. */
const METHOD = table(`${UPPER}-`)

/** Where the line ends that begins at `from`: the index of its CR, -1 when that is not there. @throws IopaError 400 for a control character. */
export const lineEnd = (text: string, from: number): number => {
  for (let at = from; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit >= SPACE ? unit !== DELETE : unit === TAB) continue
    if (unit === CR) return at
    throw lineFault(unit)
  }
  return -1
}

/** The error for a control character in a line. */
export const lineFault = (unit: number): IopaError =>
  unit === LF
    ? malformed('a line ends with LF alone; end lines with CR LF (RFC 9112 section 2.2)')
    : malformed('it has a control character outside its body; leave it out')

/** The error for a CR that no LF follows. */
export const bareReturn = (): IopaError => malformed('it has a CR without LF; end lines with CR LF (RFC 9112 section 2.2)')

/** Reads the request line from `from` to `end` into `head`. @throws IopaError 400, 505. */
export const parseRequestLine = (text: string, from: number, end: number, head: RequestHead): void => {
  let at = from
  if (FIRST_OF_METHOD[text.charCodeAt(at)] === 1) while (at < end && METHOD[text.charCodeAt(at)] === 1) at++
  if (at === from || at === end || text.charCodeAt(at) !== SPACE) {
    throw malformed('it does not begin with a method in capital letters and a space (RFC 9112 section 3)')
  }
  head.method = methodOf(text.slice(from, at))
  const begin = ++at
  for (let unit = 0; at < end; at++) {
    unit = text.charCodeAt(at)
    if (unit <= SPACE || unit >= DELETE) break
  }
  if (at === begin || text.charCodeAt(at) !== SPACE || at >= end) {
    throw malformed(
      'its first line is not a method, a target and a version with one space between them; escape other characters of the target as %20'
    )
  }
  head.target = text.slice(begin, at)
  const version = text.slice(at + 1, end)
  if (version === 'HTTP/1.1') head.minor = 1
  else if (version === 'HTTP/1.0') head.minor = 0
  else throw /^HTTP\/\d\.\d$/.test(version) ? otherVersion() : malformed('its first line does not end with HTTP/1.1')
}

/** The header line from `from` to `end`, whose characters have been checked. @throws IopaError 400. */
export const parseField = (text: string, from: number, end: number, fields: HeadFields): void => {
  let colon = from
  while (colon < end && TOKEN[text.charCodeAt(colon)] === 1) colon++
  if (colon === end || colon === from || text.charCodeAt(colon) !== COLON) throw badField(text, from, colon)
  let begin = colon + 1
  let stop = end
  while (begin < stop && isBlank(text.charCodeAt(begin))) begin++
  while (stop > begin && isBlank(text.charCodeAt(stop - 1))) stop--
  const name = text.slice(from, colon)
  // White space that not every server takes for such must not decide where a body ends.
  if (stop < end && text.slice(stop, end).includes('\t') && isFraming(name)) throw malformed(`a tab follows the value of ${name}; leave it out`)
  fields.add(name, text.slice(begin, stop))
}

const isFraming = (name: string): boolean => ['content-length', 'transfer-encoding'].includes(name.toLowerCase())

const isBlank = (unit: number): boolean => unit === SPACE || unit === TAB

const badField = (text: string, from: number, at: number): IopaError => {
  if (at === from && isBlank(text.charCodeAt(at))) return malformed('a header line is folded, or begins with a space; send each header on one line')
  if (at > from && isBlank(text.charCodeAt(at))) return malformed('a space stands before the colon of a header; leave it out (RFC 9112 section 5.1)')
  return malformed('a header line is not a name, a colon and a value')
}

/** The method; a usual one as a constant, so that others compare it by identity. */
const methodOf = (method: string): string => {
  switch (method) {
    case 'GET':
      return 'GET'
    case 'POST':
      return 'POST'
    case 'PUT':
      return 'PUT'
    case 'HEAD':
      return 'HEAD'
    case 'DELETE':
      return 'DELETE'
    default:
      return method
  }
}

/** True for a method that is taken. */
export const isMethod = (name: string): boolean => /^[A-Z][A-Z-]*$/.test(name)

/** True for a name of a header field. */
export const isToken = (name: string): boolean => {
  for (let at = 0; at < name.length; at++) if (TOKEN[name.charCodeAt(at)] !== 1) return false
  return name !== ''
}
