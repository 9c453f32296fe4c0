import { CONTENT_TYPE_FIELD } from './event-format.ts'

/** A server-sent event. */
export interface ServerEvent {
  /** `message` unless the server named it. */
  readonly name: string
  readonly data: string
  /** The id that is to be sent as Last-Event-ID from now on. */
  readonly id: string
  /** Content type of the data, where the server is an IOPA app; empty otherwise. */
  readonly type: string
}

/** Takes an event stream apart (HTML section 9.2.6), whose bytes come in pieces. At most `limit` characters are kept. */
export class EventParser {
  readonly #limit: number
  readonly #decoder = new TextDecoder()
  #rest = ''
  #kept = 0
  #name = ''
  #data: string[] = []
  #type = ''
  /** The last id. */
  id = ''
  /** Milliseconds to wait before reconnecting, when the server has said so. */
  retry: number | null = null

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The events that these bytes complete. @throws RangeError for an event beyond the limit. */
  push(bytes: Uint8Array): ServerEvent[] {
    const events: ServerEvent[] = []
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true })
    let from = 0
    for (const { 0: end, index } of text.matchAll(/\r\n|\n|\r/g)) {
      // A LF may still follow it.
      if (end === '\r' && index === text.length - 1) break
      this.#take(text.slice(from, index), events)
      from = index + end.length
    }
    this.#rest = text.slice(from)
    this.#bound(this.#rest.length)
    return events
  }

  /** @throws RangeError when `more` characters do not fit beside those that are kept. */
  #bound(more: number): void {
    if (this.#kept + more > this.#limit) throw new RangeError(`an event is longer than ${this.#limit} characters`)
  }

  #take(line: string, events: ServerEvent[]): void {
    if (line === '') {
      if (this.#data.length > 0) events.push({ name: this.#name || 'message', data: this.#data.join('\n'), id: this.id, type: this.#type })
      this.#name = ''
      this.#data = []
      this.#kept = 0
      return
    }
    const colon = line.indexOf(':')
    if (colon === 0) return
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'data') {
      this.#data.push(value)
      this.#bound(value.length)
      this.#kept += value.length + 1
    } else if (field === 'event') this.#name = value
    else if (field === 'id') {
      if (!value.includes('\0')) this.id = value
    } else if (field === 'retry') {
      if (/^\d{1,9}$/.test(value)) this.retry = Number(value)
    } else if (field === CONTENT_TYPE_FIELD) this.#type = value
  }
}
