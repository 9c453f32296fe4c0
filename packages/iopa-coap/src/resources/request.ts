import { type Body, byteBody, type Context, type RequestSource } from '@iopa/transport'
import { codingOf, typeOfFormat } from '../codec/content-formats.ts'
import { etagHeader } from '../codec/etag.ts'
import type { ReceivedMessage } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'

const NONE = -1

const BESIDE_THE_KEY: ReadonlySet<number> = new Set([OPTION.BLOCK1, OPTION.BLOCK2, OPTION.OBSERVE, OPTION.CONTENT_FORMAT, OPTION.ETAG, OPTION.ECHO])

/** A body that is read while its blocks arrive. */
export interface RequestUpload {
  readonly body: AsyncIterable<Uint8Array>
  /** Gives it the context that reads it, and runs that: `run` calls `done` when the answer is sealed. */
  begin(context: Context, run: (done: () => void) => void): void
  /** The request cannot be run. */
  cancel(): void
}

/**
 * What a request says in its options, read in one walk over them; also the source from which its context takes headers and body.
 * An integer is -1 where the option is absent.
 */
export class CoapRequest implements RequestSource {
  readonly message: ReceivedMessage
  path = '/'
  query = ''
  observe: number = NONE
  contentFormat: number = NONE
  accept: number = NONE
  block1: number = NONE
  block2: number = NONE
  size1: number = NONE
  /** True when it asks how large the whole answer is (RFC 7959 section 4). */
  asksSize = false
  noResponse = 0
  port: number = NONE
  uriHost = ''
  /** True when there is an If-Match, an If-None-Match or an ETag option: how they combine is read from the message. */
  conditional = false
  etagged = false
  /** True for one that is for another server; its path is that of the proxy. */
  proxied = false
  /** True for one that is for another server, and protected from end to end: it cannot be read here (RFC 8613 section 10). */
  sealed = false
  echo: Uint8Array | undefined = undefined
  /** The option of the header `idempotency-key`; empty where there is none. */
  idempotencyKey = ''
  /** The option of the header `iopa-seen`. */
  seen: Uint8Array | undefined = undefined
  /** The headers of the options of traces, names and values by turns; null where there are none. */
  trace: string[] | null = null
  /** The body that was assembled from blocks. */
  assembled: Uint8Array | undefined = undefined
  /** The body that is read while it arrives. */
  upload: RequestUpload | undefined = undefined

  constructor(message: ReceivedMessage) {
    this.message = message
  }

  /** Bytes of the request as it was received. */
  get size(): number {
    return this.message.bytes.length
  }

  body(): Body {
    if (this.upload !== undefined) return this.upload.body
    if (this.assembled !== undefined) return this.assembled.length === 0 ? null : this.assembled
    const { bytes, optionsEnd } = this.message
    return optionsEnd < bytes.length ? byteBody(bytes, optionsEnd + 1) : null
  }

  /** Bytes of the body. */
  get bodyLength(): number {
    return this.assembled === undefined ? this.message.payload.length : this.assembled.length
  }

  contentType(): string {
    return this.contentFormat === NONE ? '' : typeOfFormat(this.contentFormat)
  }

  hasPrecondition(): boolean {
    return this.conditional || this.etagged
  }

  authority(): string {
    const host = this.uriHost.includes(':') ? `[${this.uriHost}]` : this.uriHost
    return host === '' || this.port === NONE ? host : `${host}:${this.port}`
  }

  /** The options that have a header of the same meaning (RFC 8075 section 6.6). */
  headers(): string[] {
    const headers: string[] = []
    if (this.contentFormat !== NONE) {
      headers.push('content-type', this.contentType())
      const coding = codingOf(this.contentFormat)
      if (coding !== undefined) headers.push('content-encoding', coding)
    }
    if (this.accept !== NONE) headers.push('accept', typeOfFormat(this.accept))
    if (this.uriHost !== '') headers.push('host', this.authority())
    if (this.etagged) headers.push('if-none-match', this.etags(OPTION.ETAG).map(etagHeader).join(', '))
    if (this.conditional) {
      const tags = this.etags(OPTION.IF_MATCH)
      if (tags.length > 0) headers.push('if-match', tags.some(tag => tag.length === 0) ? '*' : tags.map(etagHeader).join(', '))
      if (this.message.options.has(OPTION.IF_NONE_MATCH)) headers.push('if-none-match', '*')
    }
    if (this.idempotencyKey !== '') headers.push('idempotency-key', this.idempotencyKey)
    if (this.seen !== undefined) headers.push('iopa-seen', etagHeader(this.seen))
    if (this.trace !== null) headers.push(...this.trace)
    return headers
  }

  /** The values of ETag or If-Match options that are no longer than one may be. */
  etags(number: number): Uint8Array[] {
    return this.message.options.getAll(number).filter(value => value.length <= 8 && (number === OPTION.IF_MATCH || value.length > 0))
  }

  /**
   * What blocks of one transfer have in common: method, the options that say what is asked for and of which resource, and the Request-Tag
   * (RFC 7252 section 5.4.2, RFC 7959 section 2.4, RFC 9175 section 3.3). What describes the payload, or says what the client knows already,
   * may be in some of the blocks and not in others.
   */
  get transferKey(): string {
    let key = `${this.message.code}`
    for (const [number, value] of this.message.options) {
      if (BESIDE_THE_KEY.has(number) || (number & 0x1e) === 0x1c) continue
      key += `\n${number}:${value.length}:${Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1')}`
    }
    return key
  }
}
