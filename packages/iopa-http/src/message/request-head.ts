import { hasPreconditionField, IopaError } from '@iopa/transport'
import { malformed } from './refusal.ts'

const is = (name: string, title: string, lower: string): boolean => name === title || name === lower || name.toLowerCase() === lower

/**
 * The header fields of a request, and what its framing depends on. Not to be changed once they are complete: requests
 * of one connection that are alike share them.
 */
export class HeadFields {
  /** Names, as they were written, and values, one after the other. */
  readonly pairs: string[] = []
  /** The first Host header; null when there is none. */
  host: string | null = null
  hosts = 0
  accept = ''
  /** Length of the body in bytes: 0 for none, -1 for a chunked one. */
  length = 0
  /** The transfer coding as it was sent; empty for none. */
  coding = ''
  expectation = ''
  /** `Connection: close`. */
  closes = false
  /** `Connection: keep-alive`, which HTTP/1.0 needs. */
  keepsAlive = false
  /** `Connection: upgrade`. */
  upgrades = false
  /** The protocols of Upgrade; empty for none. */
  upgrade = ''
  /** One of them states a precondition. */
  conditional = false
  #lengths = 0

  /** Adds a field. @throws IopaError 400, 413 for one that makes the framing doubtful (RFC 9112 section 6.3). */
  add(name: string, value: string): void {
    this.pairs.push(name, value)
    switch (name.length) {
      case 4:
        if (is(name, 'Host', 'host')) {
          this.host ??= value
          this.hosts++
        }
        break
      case 6:
        if (is(name, 'Accept', 'accept')) this.accept = this.accept === '' ? value : `${this.accept}, ${value}`
        else if (is(name, 'Expect', 'expect')) this.expectation = this.expectation === '' ? value : `${this.expectation}, ${value}`
        break
      case 7:
        if (is(name, 'Upgrade', 'upgrade')) this.upgrade = this.upgrade === '' ? value : `${this.upgrade}, ${value}`
        break
      case 8:
      case 13:
      case 19:
        this.conditional ||= hasPreconditionField([name, value])
        break
      case 10:
        if (is(name, 'Connection', 'connection')) this.#connection(value)
        break
      case 14:
        if (is(name, 'Content-Length', 'content-length')) this.#length(value)
        break
      case 16:
        // Not a field of any RFC, but other servers take it for Connection, and end after such a request.
        if (name.toLowerCase() === 'proxy-connection') this.#connection(value)
        break
      case 17:
        if (is(name, 'Transfer-Encoding', 'transfer-encoding')) this.#coding(value)
        else this.conditional ||= hasPreconditionField([name, value])
    }
  }

  /** Says that there are no more. */
  complete(): this {
    Object.freeze(this.pairs)
    return this
  }

  #connection(value: string): void {
    for (const option of value.toLowerCase().split(',')) {
      const name = option.trim()
      if (name === 'close') this.closes = true
      else if (name === 'keep-alive') this.keepsAlive = true
      else if (name === 'upgrade') this.upgrades = true
    }
  }

  #length(value: string): void {
    if (this.#lengths++ > 0) throw malformed('it has several Content-Length headers; send one (RFC 9112 section 6.3)')
    if (this.coding !== '') throw bothFramings()
    if (!/^\d+$/.test(value)) throw malformed('its Content-Length is no number; send the length of the body in decimal digits')
    this.length = Number(value)
    if (!Number.isSafeInteger(this.length)) throw new IopaError(413, 'body-too-large', 'No body can have the length that Content-Length says.')
  }

  #coding(value: string): void {
    if (this.coding !== '') throw malformed('it has several Transfer-Encoding headers; send one')
    if (this.#lengths > 0) throw bothFramings()
    if (value === '') throw malformed('its Transfer-Encoding is empty; leave it out, or send chunked')
    this.coding = value
    this.length = -1
  }
}

const NO_FIELDS = new HeadFields().complete()

/** A request without its body, as a reader fills it in: the next request of the connection overwrites it. */
export class RequestHead {
  method = ''
  target = ''
  /** 1 for HTTP/1.1, 0 for HTTP/1.0. */
  minor: 0 | 1 = 1
  fields: HeadFields = NO_FIELDS

  /** Holds nothing of the last request any more. */
  clear(): void {
    this.target = ''
    this.fields = NO_FIELDS
  }
}

const bothFramings = (): IopaError => malformed('it has both Content-Length and Transfer-Encoding; send one of them (RFC 9112 section 6.1)')
