import { type Clock, IopaError, type SealedAnswer } from '@iopa/transport'
import { isOfConnection } from './answer-fields.ts'
import { isToken } from './head-syntax.ts'

/** How the body of an answer is delimited, and whether another answer may follow (RFC 9112 sections 6 and 9.3). */
export interface Framing {
  /** For Content-Length; below 0 for none. */
  readonly length: number
  readonly chunked: boolean
  /** For Connection; empty for none. */
  readonly connection: '' | 'close' | 'keep-alive'
  /** The names of the fields after the body; empty for none. */
  readonly trailer: string
}

/** What ends a chunked body (RFC 9112 section 7.1). */
export const LAST_CHUNK = '0\r\n\r\n'

/** The line before a chunk of `length` bytes; CR LF follows the chunk. */
export const chunkSize = (length: number): string => `${length.toString(16)}\r\n`

/** Names and values whose lines are kept, and the longest value. */
const KEPT = 32
const LONGEST_KEPT = 128

/** Writes heads of answers; what is the same in most of them is written once. */
export class AnswerHeads {
  readonly #clock: Clock
  /** By status: the usual reason phrase and its status line. */
  readonly #statuses = new Map<number, { readonly reason: string; readonly line: string }>()
  /** What an answer says that is not the last one (RFC 9112 appendix C.2.2). */
  readonly #persistent: string
  /** Fields of earlier answers by their place, and their lines: the next answer has most of them at the same place. */
  readonly #fields: (string | undefined)[] = Array<string | undefined>(KEPT).fill(undefined)
  readonly #lines: string[] = Array<string>(KEPT / 2).fill('')
  #date = ''
  #dateLine = ''
  #dated: unknown = null
  #type = ''
  #typeLine = ''
  /** True when the head that was made last is ASCII, so that its UTF-8 is its Latin-1. */
  ascii = true

  /** `idleTimeout` in milliseconds is announced to clients, who need not send a request on a connection that is about to close. */
  constructor(clock: Clock, idleTimeout: number = Number.POSITIVE_INFINITY) {
    this.#clock = clock
    const seconds = Math.floor(idleTimeout / 1000)
    this.#persistent = seconds > 0 && Number.isFinite(seconds) ? `connection: keep-alive\r\nkeep-alive: timeout=${seconds}\r\n` : ''
  }

  /**
   * The head of an answer: of `pairs` those fields that concern the message, then `type`. `ascii` says what it is made of.
   * @throws IopaError 500 for names, values and reasons that HTTP cannot carry (RFC 9110 section 5.5).
   */
  format(status: number, reason: string, pairs: readonly string[], type: string, { length, chunked, connection, trailer }: Framing): string {
    this.ascii = true
    let text = this.#statusLine(status, reason)
    let dated = false
    for (let at = 0; at < pairs.length; at += 2) {
      const name = pairs[at] as string
      if (name.length === 4 && name.toLowerCase() === 'date') dated = true
      text += this.#field(at, name, pairs[at + 1] as string)
    }
    if (type !== '') text += this.#typeField(type)
    if (length >= 0) text += `content-length: ${length}\r\n`
    else if (chunked) text += 'transfer-encoding: chunked\r\n'
    if (trailer !== '') text += `trailer: ${trailer}\r\n`
    if (!dated) text += this.#dateField()
    if (connection === 'close') text += 'connection: close\r\n'
    else if (this.#persistent !== '') text += this.#persistent
    else if (connection !== '') text += `connection: ${connection}\r\n`
    return `${text}\r\n`
  }

  /** An answer in memory as the bytes that end a connection (RFC 9112 section 9.6). @throws IopaError 500. */
  last(answer: SealedAnswer, bodyless = false): Uint8Array {
    const body = answer.payloadBytes
    const framing: Framing = { length: body.length, chunked: false, connection: 'close', trailer: '' }
    const text = this.format(answer.status, answer.reason, answer.headerPairs, answer.type, framing)
    const head = Buffer.from(text, 'latin1')
    return bodyless ? head : Buffer.concat([head, body])
  }

  /** The current date of an answer (RFC 9110 section 6.6.1). */
  date(): string {
    this.#dateField()
    return this.#date
  }

  /** Stops the clock's timer. */
  close(): void {
    if (this.#dated !== null) this.#clock.clearTimeout(this.#dated)
    this.#dated = null
  }

  #statusLine(status: number, reason: string): string {
    const known = this.#statuses.get(status)
    if (known?.reason === reason) return known.line
    if (!checkValue(reason, 'The reason phrase')) this.ascii = false
    const line = `HTTP/1.1 ${status} ${reason}\r\n`
    if (known === undefined && this.ascii) this.#statuses.set(status, { reason, line })
    return line
  }

  /** The line of a field at its place among the pairs; empty for one of the connection. */
  #field(at: number, name: string, value: string): string {
    const last = this.#fields
    if (last[at] === name && last[at + 1] === value) return this.#lines[at >> 1] as string
    if (isOfConnection(name)) return ''
    const line = `${name}: ${value}\r\n`
    if (!checkField(name, value)) this.ascii = false
    else if (at < KEPT && value.length <= LONGEST_KEPT) {
      last[at] = name
      last[at + 1] = value
      this.#lines[at >> 1] = line
    }
    return line
  }

  #typeField(type: string): string {
    if (type === this.#type) return this.#typeLine
    if (!checkType(type)) this.ascii = false
    const line = `content-type: ${type}\r\n`
    if (this.ascii) {
      this.#type = type
      this.#typeLine = line
    }
    return line
  }

  /** Made once a second, for a date costs as much as the rest of the head (RFC 9110 section 6.6.1). */
  #dateField(): string {
    if (this.#dated === null) {
      const now = this.#clock.now()
      this.#date = new Date(now).toUTCString()
      this.#dateLine = `date: ${this.#date}\r\n`
      this.#dated = this.#clock.setTimeout(
        () => {
          this.#dated = null
        },
        1000 - (now % 1000)
      )
    }
    return this.#dateLine
  }
}

/** What ends a chunked body that fields follow. */
export const lastChunk = (trailers: readonly string[]): string => {
  let text = '0\r\n'
  for (let at = 0; at < trailers.length; at += 2) text += `${trailers[at]}: ${trailers[at + 1]}\r\n`
  return `${text}\r\n`
}

/** The head of an informational answer (RFC 9110 section 15.2). @throws IopaError 500 for fields that HTTP cannot carry */
export const informationalHead = (status: number, pairs: readonly string[]): Uint8Array => {
  let text = `HTTP/1.1 ${status} ${status === 103 ? 'Early Hints' : ''}\r\n`
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at] as string
    const value = pairs[at + 1] as string
    checkField(name, value)
    if (!isOfConnection(name)) text += `${name}: ${value}\r\n`
  }
  return Buffer.from(`${text}\r\n`, 'latin1')
}

/** Checks a field of an answer; true when its value is ASCII. @throws IopaError 500 for what HTTP cannot carry (RFC 9110 section 5.5). */
export const checkField = (name: string, value: string): boolean => {
  if (!isToken(name)) throw new IopaError(500, 'bad-header-name', `'${name}' is no header name: use letters, digits and '-'.`)
  return checkValue(value, name)
}

/** The same for a content type. */
export const checkType = (type: string): boolean => checkValue(type, "The value of 'content-type'")

const checkValue = (value: string, name: string): boolean => {
  let ascii = true
  for (let at = 0; at < value.length; at++) {
    const unit = value.charCodeAt(at)
    if (unit >= 32 && unit < 127) continue
    if (unit > 255 || unit === 127 || (unit < 32 && unit !== 9)) {
      throw new IopaError(500, 'bad-header-value', `'${name}' of an answer holds a character that HTTP cannot carry; encode it.`)
    }
    if (unit > 127) ascii = false
  }
  return ascii
}
