import { type Answer, decodeText } from '@iopa/appbuilder'

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
const TEXTS = new WeakMap<Answer, EventText>()

/** The event that says what a path is like now (HTML section 9.2.5). */
export const eventOf = (answer: Answer): EventText => {
  let event = TEXTS.get(answer)
  if (event === undefined) {
    const text = textOf(answer)
    const data = text ?? base64(answer.payloadBytes)
    const id = lineOf(answer.headerPairs.length === 0 ? '' : (answer.headers.get('etag') ?? '')) || contentTag(data)
    event = { id, type: lineOf(answer.type) + (text === null ? ';base64' : ''), text: `id: ${id}\n${dataLines(data)}\n` }
    TEXTS.set(answer, event)
  }
  return event
}

/** The event that ends a stream because its path is gone, or no longer open to the observer. */
export const errorEvent = (answer: Answer): string => `event: error\n${dataLines(JSON.stringify(answer.problem))}\n`

/** A line that no peer takes for anything; it shows that the connection lives. */
export const HEARTBEAT = ':\n\n'

/** Name of the field, unknown to browsers and so ignored by them, that tells IOPA's own client the content type. */
export const CONTENT_TYPE_FIELD = 'content-type'

/** A value that stays on its line. */
const lineOf = (value: string): string => value.replace(/[\0\r\n]/g, '')

/** Every line break within the data begins a new field, so that no data can forge one. */
const dataLines = (data: string): string => {
  let lines = ''
  for (const line of data.split(/\r\n|\r|\n/)) lines += `data: ${line}\n`
  return lines
}

/** The payload as text; null for bytes that are none, or would not arrive as they are. */
const textOf = (answer: Answer): string | null => {
  const { payload } = answer
  let text: string
  if (typeof payload === 'string') text = payload
  else {
    try {
      text = decodeText(answer.payloadBytes)
    } catch {
      return null
    }
    // Decoding takes a byte order mark away.
    if (answer.payloadBytes[0] === 0xef && text.charCodeAt(0) !== 0xfeff) return null
  }
  // A carriage return arrives as a line feed: in text and in JSON that is the same.
  return text.includes('\r') && !LINES_ARE_FREE.test(answer.type) ? null : text
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
