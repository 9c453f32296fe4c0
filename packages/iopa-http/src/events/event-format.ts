import { decodeText, type SealedAnswer } from '@iopa/transport'

/** What an answer looks like as a server-sent event. */
export interface EventText {
  /** The id of the representation: its entity tag, or a tag of its content. */
  readonly id: string
  /** The content type; as in a data URL, `;base64` follows where the bytes are no text. */
  readonly type: string
  /** The lines `id` and `data`, and the empty line that ends the event. */
  readonly text: string
}

// One answer goes to all observers that share it, so it is written out once.
const TEXTS = new WeakMap<SealedAnswer, EventText>()
const EXACT_TEXTS = new WeakMap<SealedAnswer, EventText>()

/**
 * The event that says what a path is like now (HTML section 9.2.5). A carriage return cannot arrive as it is. In text, JSON and XML it becomes a
 * line feed, which browsers can use; with `exact`, and anywhere else, the data is base64. Null for an answer that is not 2xx.
 */
export const eventOf = (answer: SealedAnswer, exact: boolean): EventText | null => {
  const texts = exact ? EXACT_TEXTS : TEXTS
  let event = texts.get(answer)
  if (event === undefined) {
    const { ok, payload, type, headerPairs } = answer
    if (!ok) return null
    const text = typeof payload === 'string' ? payload : textOf(answer.payloadBytes)
    const lines = text !== null && (!text.includes('\r') || (!exact && LINES_ARE_FREE.test(type)))
    const data = lines ? text : base64(answer.payloadBytes)
    const id = lineOf(headerPairs.length === 0 ? '' : (answer.headers.get('etag') ?? '')) || contentTag(text ?? data)
    event = { id, type: lineOf(type) + (lines ? '' : ';base64'), text: `id: ${id}\n${dataLines(data)}\n` }
    texts.set(answer, event)
  }
  return event
}

/** The event that ends a stream because its path is gone, or no longer open to the observer. */
export const errorEvent = (answer: SealedAnswer): string => `event: error\n${dataLines(JSON.stringify(answer.problem))}\n`

/** A line that no peer takes for anything; it shows that the connection lives. */
export const HEARTBEAT = ':\n\n'

/** Name of the field, unknown to browsers and so ignored by them, that tells IOPA's own client the content type. */
export const CONTENT_TYPE_FIELD = 'content-type'

/** Field of a request whose client reads data in base64 for any type: then text arrives with its carriage returns. */
export const EXACT_DATA_FIELD = 'iopa-event-data'

/** A value that stays on its line. */
const lineOf = (value: string): string => value.replace(/[\0\r\n]/g, '')

/** Every line break within the data begins a new field, so that no data can forge one. */
const dataLines = (data: string): string => {
  let lines = ''
  for (const line of data.split(/\r\n|\r|\n/)) lines += `data: ${line}\n`
  return lines
}

/** The text of bytes; null for those that are none, or that reading would change. */
const textOf = (bytes: Uint8Array): string | null => {
  try {
    const text = decodeText(bytes)
    // Decoding takes a byte order mark away.
    return bytes[0] === 0xef && text.charCodeAt(0) !== 0xfeff ? null : text
  } catch {
    return null
  }
}

const LINES_ARE_FREE = /^text\/|[/+](?:json|xml)[ \t]*(?:;|$)/i

const base64 = (bytes: Uint8Array): string => btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))

/** Tells representations without an entity tag apart: two FNV-1a sums over the UTF-16 units. */
const contentTag = (text: string): string => {
  let first = 0x811c9dc5
  let second = 0x1000193
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    first = Math.imul(first ^ unit, 0x01000193)
    second = Math.imul(second + unit, 0x85ebca6b) ^ (second >>> 13)
  }
  return (first >>> 0).toString(36).padStart(7, '0') + (second >>> 0).toString(36).padStart(7, '0')
}
