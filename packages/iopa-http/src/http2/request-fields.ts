import { checkOneHost } from '../message/authority.ts'
import { isMethod } from '../message/head-syntax.ts'
import { malformed } from '../message/refusal.ts'
import { HeadFields, RequestHead } from '../message/request-head.ts'

/** A request of HTTP/2, as what a request of HTTP/1.1 is read into. */
export interface StreamHead {
  readonly head: RequestHead
  /** `:authority`; empty where the client sent a Host field alone. */
  readonly authority: string
}

// What a target is made of: no spaces, controls or bytes beyond ASCII, as in a request line of HTTP/1.1.
const TARGET = /^[!-~]+$/

/**
 * The head of a request (RFC 9113 section 8.3.1). `raw` are names and values as node:http2 has read them: nghttp2 has refused what is malformed in itself,
 * such as pseudo-header fields that are missing or doubled, and fields of a connection. `bodyless` says that no body follows.
 * @throws IopaError 400, 413.
 */
export const requestHead = (raw: readonly string[], bodyless: boolean): StreamHead => {
  const head = new RequestHead()
  const fields = new HeadFields()
  let authority = ''
  let scheme = ''
  let cookies = ''
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string
    const value = raw[at + 1] as string
    if (name === ':method') head.method = value
    else if (name === ':path') head.target = value
    else if (name === ':authority') authority = value
    else if (name === ':scheme') scheme = value
    // The crumbs of one field (section 8.2.3).
    else if (name === 'cookie') cookies += cookies === '' ? value : `; ${value}`
    else fields.add(name, value)
  }
  if (cookies !== '') fields.add('cookie', cookies)
  if (!isMethod(head.method)) throw malformed('its method is not capital letters and hyphens')
  if (scheme !== 'https' && scheme !== 'http') throw malformed('its :scheme is not http or https')
  if (!TARGET.test(head.target) || (head.target[0] !== '/' && head.target !== '*'))
    throw malformed("its :path does not begin with '/'; escape other characters as %20")
  if (authority !== '') {
    checkOneHost(fields.host, authority, scheme)
    // Middleware finds the host where it is in HTTP/1.1.
    if (fields.host === null) fields.add('host', authority)
  }
  if (bodyless && fields.length > 0) throw malformed('it has a Content-Length, and no body follows')
  // The end of the body ends the stream.
  if (!bodyless && fields.length === 0) fields.length = -1
  head.fields = fields.complete()
  return { head, authority }
}
