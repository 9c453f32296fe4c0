import type { Payload, SealedAnswer } from '@iopa/transport'

/** True for a field that concerns one connection, not the message (RFC 9110 section 7.6.1), or that follows from the framing used here. */
export const isOfConnection = (name: string): boolean => {
  switch (name.length) {
    case 2:
      return name.toLowerCase() === 'te'
    case 7:
      return ['trailer', 'upgrade'].includes(name.toLowerCase())
    case 10:
      return ['connection', 'keep-alive'].includes(name.toLowerCase())
    case 14:
      return name.toLowerCase() === 'content-length'
    case 16:
      return name.toLowerCase() === 'proxy-connection'
    case 17:
      return name.toLowerCase() === 'transfer-encoding'
    default:
      return false
  }
}

/** The header fields of an answer without those of the connection: a flat list to add to. */
export const fieldsOf = (answer: SealedAnswer): string[] => {
  const pairs = answer.headerPairs
  const fields: string[] = []
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at] as string
    if (!isOfConnection(name)) fields.push(name, pairs[at + 1] as string)
  }
  if (answer.type !== '') fields.push('content-type', answer.type)
  return fields
}

/** The content length that a handler has set; null without a valid one. */
export const statedLength = (answer: SealedAnswer): number | null => {
  const value = answer.headerPairs.length === 0 ? undefined : answer.headers.get('content-length')
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : null
}

/** True when a handler has asked to close the connection. */
export const asksToClose = ({ headerPairs }: SealedAnswer): boolean => {
  for (let at = 0; at < headerPairs.length; at += 2) {
    const name = headerPairs[at] as string
    if (name.length === 10 && name.toLowerCase() === 'connection' && (headerPairs[at + 1] as string).toLowerCase().includes('close')) return true
  }
  return false
}

/** True for a status whose answer never has a body (RFC 9110 section 6.4.1). */
export const isBodyless = (status: number): boolean => status === 204 || status === 304 || status < 200

/** True for an event stream that a handler writes: it is sent as it is. */
export const isEventStream = (answer: SealedAnswer): boolean => /^text\/event-stream[\t ]*(?:;|$)/i.test(answer.type)

/** True for a first answer to an observer that an event stream can begin with: 204 and 205 say that there is no representation. */
export const isObservable = (answer: SealedAnswer): boolean => answer.ok && !answer.isStream && answer.status !== 204 && answer.status !== 205

/** Length of a stream in bytes, or null if unknown. */
export const sizeOf = (stream: AsyncIterable<Uint8Array>): number | null => {
  const { size } = stream as { readonly size?: unknown }
  return typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : null
}

// Text up to which looking at each unit costs less than asking the runtime.
const SHORT = 128

/** Bytes of a text as UTF-8. */
export const textLength = (text: string): number => {
  if (text.length > SHORT) return Buffer.byteLength(text)
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 127) return Buffer.byteLength(text)
  return text.length
}

/** Length of a body in bytes; null for a stream that does not know it. */
export const lengthOf = (payload: Payload): number | null => {
  if (payload === null) return 0
  if (typeof payload === 'string') return textLength(payload)
  return payload instanceof Uint8Array ? payload.length : sizeOf(payload)
}

/** The content length of a body that is left out, null for none: a handler may answer HEAD, or 304, with it (RFC 9110 section 8.6). */
export const lengthLeftOut = (method: string, answer: SealedAnswer): number | null => {
  const { payload, status } = answer
  if (method === 'HEAD' && payload !== null) return lengthOf(payload) ?? statedLength(answer)
  return status === 204 ? null : statedLength(answer)
}

/** Gives up a streamed body that is not sent. */
export const discard = (answer: SealedAnswer): void => {
  if (!answer.isStream) return
  const iterator = (answer.payload as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  void iterator.return?.().catch(() => undefined)
}

/** What tells how a message is framed, routed, authenticated or read has to be known before its body (RFC 9110 section 6.5.1). */
const BEFORE_THE_BODY: ReadonlySet<string> = new Set(
  `age authorization cache-control content-encoding content-range content-type cookie date expect expires host if-match if-modified-since
  if-none-match if-range if-unmodified-since location max-forwards pragma proxy-authenticate proxy-authorization range retry-after set-cookie vary
  warning www-authenticate`.split(/\s+/)
)

/** True for a field, named in lower case, that may come after a body. */
export const mayFollowBody = (name: string): boolean => !isOfConnection(name) && !BEFORE_THE_BODY.has(name)
