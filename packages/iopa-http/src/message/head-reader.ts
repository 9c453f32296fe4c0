import { bareReturn, LF, lineEnd, parseField, parseRequestLine } from './head-syntax.ts'
import { headersTooLarge, malformed } from './refusal.ts'
import { HeadFields, RequestHead } from './request-head.ts'

// Bytes that are turned into text at once: what follows a head in the same chunk is mostly no head.
const WINDOW = 4096
// A client may send an empty line too many after a body (RFC 9112 section 2.2).
const EMPTY_LINES = 4

/**
 * Reads the heads of the requests on one connection, however their bytes come in; keeps no more than the part of a head
 * that is there. Every byte is looked at a fixed number of times, so a head that comes byte by byte costs no more than
 * its length. After an error there is nothing to be read any more.
 */
export class HeadReader {
  /** The head that the last `read` has completed, where `complete` says so; the next one overwrites it. */
  readonly head: RequestHead = new RequestHead()
  /** False when more bytes are needed. */
  complete = false
  readonly #limit: number
  /** Bytes of the head so far, that lie before the current window. */
  #read = 0
  #emptyLines = 0
  /** The line whose end has not come. */
  #rest = ''
  /** It ends with a CR. */
  #returned = false
  /** The request line has come. */
  #lineRead = false
  #fields: HeadFields | null = null
  /** The header section of the last request as text, and what it says: most requests of a connection repeat it. */
  #lastText = ''
  #last: HeadFields | null = null

  /** A head may have `limit` bytes. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** True when a head has begun and is not complete. */
  get begun(): boolean {
    return this.#lineRead || this.#rest !== '' || this.#returned
  }

  /** Forgets what makes the next request cheaper: to be called when none is expected soon. */
  forget(): void {
    this.#lastText = ''
    this.#last = null
    this.head.clear()
  }

  /** Reads on from `at` and returns where it has stopped: behind the head, or at the end. @throws IopaError 400, 413, 431, 505. */
  read(chunk: Uint8Array, at: number): number {
    this.complete = false
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    let from = at
    while (from < bytes.length && !this.complete) {
      from += this.#readText(bytes.toString('latin1', from, Math.min(bytes.length, from + WINDOW)), bytes, from)
    }
    return from
  }

  /** Reads from a window of the bytes, which begins at `offset`; returns how much of it. */
  #readText(text: string, bytes: Buffer, offset: number): number {
    let at = 0
    if (this.#returned) {
      if (text.charCodeAt(0) !== LF) throw bareReturn()
      at = 1
      this.#returned = false
      if (this.#takeRest()) return this.#finish(at)
    }
    for (;;) {
      const end = lineEnd(text, at)
      if (end < 0 || end + 1 === text.length) return this.#keep(text, at, end)
      if (text.charCodeAt(end + 1) !== LF) throw bareReturn()
      const next = end + 2
      if (this.#rest !== '') {
        this.#rest += text.slice(at, end)
        if (this.#takeRest()) return this.#finish(next)
      } else if (this.#lineRead) {
        if (end === at) return this.#finish(next)
        parseField(text, at, end, this.#fields as HeadFields)
      } else if (end === at) this.#skipEmptyLine()
      else {
        parseRequestLine(text, at, end, this.head)
        this.#lineRead = true
        const whole = this.#readFields(text, next, bytes, offset)
        if (whole > 0) return this.#finish(whole)
        this.#fields = new HeadFields()
      }
      at = next
    }
  }

  /** Reads the header section from `from` when all of it is in the window, and returns its end; else 0. */
  #readFields(text: string, from: number, bytes: Buffer, offset: number): number {
    const last = this.#lastText
    // As a slice, for `startsWith` looks at one character after the other.
    if (last !== '' && text.slice(from, from + last.length) === last) {
      this.#fields = this.#last
      return from + last.length
    }
    // The empty line may follow the request line at once.
    const blank = text.indexOf('\r\n\r\n', from - 2)
    if (blank < 0) return 0
    const end = blank + 4
    // Cut from a text of its own, header values that the app keeps hold no more than the head.
    const own = bytes.toString('latin1', offset + from, offset + end)
    const fields = new HeadFields()
    for (let at = 0, stop = 0; at < own.length - 2; at = stop + 2) {
      stop = lineEnd(own, at)
      if (own.charCodeAt(stop + 1) !== LF) throw bareReturn()
      parseField(own, at, stop, fields)
    }
    this.#lastText = own
    this.#last = this.#fields = fields.complete()
    return end
  }

  /** Keeps the part of a line that the window ends with. */
  #keep(text: string, at: number, end: number): number {
    this.#rest += text.slice(at, end < 0 ? text.length : end)
    this.#returned = end >= 0
    this.#read += text.length
    if (this.#read > this.#limit) throw headersTooLarge(this.#limit)
    return text.length
  }

  /** Takes the line that has come in pieces; true when it was the last of its head. */
  #takeRest(): boolean {
    const line = this.#rest
    this.#rest = ''
    if (this.#lineRead) {
      if (line === '') return true
      parseField(line, 0, line.length, this.#fields as HeadFields)
    } else if (line === '') this.#skipEmptyLine()
    else {
      parseRequestLine(line, 0, line.length, this.head)
      this.#lineRead = true
      this.#fields = new HeadFields()
    }
    return false
  }

  #skipEmptyLine(): void {
    if (++this.#emptyLines > EMPTY_LINES) throw malformed('it begins with empty lines; leave them out')
  }

  #finish(at: number): number {
    if (this.#read + at > this.#limit) throw headersTooLarge(this.#limit)
    this.head.fields = this.#fields as HeadFields
    this.complete = true
    this.#lineRead = false
    this.#fields = null
    this.#read = 0
    this.#emptyLines = 0
    return at
  }
}
