import { decodeText, IopaError } from '@iopa/constants'

const CHARSET = /;[ \t]*charset[ \t]*=[ \t]*"?([^\s";]+)/i
// ASCII is a part of UTF-8.
const UTF8: ReadonlySet<string> = new Set(['utf-8', 'utf8', 'us-ascii', 'ascii'])
// The web reads all of them as windows-1252 (Encoding Standard section 4.2).
const LATIN: ReadonlySet<string> = new Set(['iso-8859-1', 'latin1', 'windows-1252'])
// Some versions of Node decode these bytes of windows-1252 as control characters.
const FROM_80 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ'

const latinText = (bytes: Uint8Array): string => {
  let text = ''
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return text.replace(/[\x80-\x9f]/g, unit => FROM_80[unit.charCodeAt(0) - 0x80] as string)
}

const charsetOf = (contentType: string): string => (contentType.includes(';') ? (CHARSET.exec(contentType)?.[1]?.toLowerCase() ?? 'utf-8') : 'utf-8')

const unsupported = (charset: string): IopaError =>
  new IopaError(415, 'unsupported-charset', `The body is in the charset '${charset.slice(0, 40)}', which cannot be read here; send it as UTF-8.`)

/** The text of a body in the charset that its content type names, UTF-8 without one. @throws IopaError 400, 415. */
export const textOf = (bytes: Uint8Array, contentType: string): string => {
  const charset = charsetOf(contentType)
  if (UTF8.has(charset)) return decodeText(bytes)
  if (LATIN.has(charset)) return latinText(bytes)
  throw unsupported(charset)
}

/** JSON between systems is UTF-8 (RFC 8259 section 8.1). @throws IopaError 415 for a content type that names another charset. */
export const checkJsonCharset = (contentType: string): void => {
  const charset = charsetOf(contentType)
  if (!UTF8.has(charset)) throw unsupported(charset)
}

/** Refuses a body that is compressed. @throws IopaError 415 (RFC 9110 section 15.5.16). */
export const checkCoding = (coding: string | undefined): void => {
  if (coding === undefined || coding === '' || coding.toLowerCase() === 'identity') return
  throw new IopaError(
    415,
    'unsupported-coding',
    `The body is in the coding '${coding.slice(0, 40)}', which is not decoded here; send it without content-encoding.`,
    { headers: { 'accept-encoding': 'identity' } }
  )
}

const ASCII = /^[\0-\x7f]*$/
// ISO 8859-1 without the controls that windows-1252 has characters for.
const IN_LATIN = /^[\0-\x7f\xa0-\xff]*$/

/** Text as its content type says that it is written: UTF-8, or the bytes of Latin-1. @throws TypeError where that cannot be. */
export const textUnder = (type: string, text: string): string | Uint8Array => {
  const charset = charsetOf(type)
  if (charset === 'utf-8' || charset === 'utf8' || ((UTF8.has(charset) || LATIN.has(charset)) && ASCII.test(text))) return text
  if (LATIN.has(charset) && IN_LATIN.test(text)) return Uint8Array.from(text, character => character.charCodeAt(0))
  throw new TypeError(`this text cannot be sent in the charset '${charset.slice(0, 40)}': leave the charset out, which is UTF-8, or send bytes`)
}
