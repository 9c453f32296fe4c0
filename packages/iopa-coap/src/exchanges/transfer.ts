import { abortable, IopaError } from '@iopa/transport'
import { BERT, blockSize, blockValue, fitsBlock, readBlock } from '../codec/block.ts'
import { CODE, isSafe } from '../codec/codes.ts'
import { sameEtag } from '../codec/etag.ts'
import type { Message } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import type { Options } from '../codec/options.ts'
import { BodySource } from './body-source.ts'
import type { Requester } from './requester.ts'
import type { UploadSlots } from './upload-slots.ts'

const NOTHING = new Uint8Array(0)
/** Most bytes of a block that are read of a stream before it is sent (RFC 8323 section 6 leaves that to the sender). */
export const LARGEST_STREAMED: number = 64 * 1024
/** How often a body is fetched again because it changed while its blocks came. */
const RESTARTS = 3

/** A request before it is cut into blocks. */
export interface ClientRequest {
  readonly code: number
  readonly options: Options
  readonly payload: Uint8Array
  /** In place of the payload: a larger body that is read while it is sent, once. */
  readonly source?: BodySource
}

/** A response, and the whole payload that was put together from its blocks. */
export interface ClientResponse {
  readonly message: Message
  readonly payload: Uint8Array
}

/** A response whose further blocks are fetched while its payload is read. */
export interface StreamedResponse {
  readonly message: Message
  /** Bytes where the response came in one block. */
  readonly payload: Uint8Array | AsyncIterable<Uint8Array>
}

/** How a transfer is done. */
export interface TransferSettings {
  readonly confirmable: boolean
  readonly signal: AbortSignal | undefined
  /** Bytes of the tokens; 8 unless given. */
  readonly tokenLength?: number | undefined
  /** The token itself, where it is given. */
  readonly token?: Uint8Array | undefined
  /** Says what is awaited now: that the server acknowledges a message, that it answers one, or the body of the request. */
  readonly awaits?: ((what: 'receipt' | 'answer' | 'body') => void) | undefined
  /** Most bytes of an answer. */
  readonly bodyLimit: number
  /** The number of a critical option of responses that is understood, beside those of the registry. */
  readonly understands?: number | undefined
  /** Bodies in blocks that are under way to this server; none where that needs no bound. */
  readonly slots?: UploadSlots | undefined
  /** The next Request-Tag, of at most four bytes. */
  nextTag(): number
}

/** What is left of a request when the blocks before it have been taken: all of it, or the last block of its body. */
export interface LastPart {
  readonly options: Options
  readonly payload: Uint8Array
}

/** One request and its answer, in blocks both ways where they are large (RFC 7959), with an Echo repeated where the server asks for it (RFC 9175). */
export class Transfer {
  readonly #requester: Requester
  readonly #settings: TransferSettings

  constructor(requester: Requester, settings: TransferSettings) {
    this.#requester = requester
    this.#settings = settings
  }

  /** Sends a request; rejects when no answer can come. */
  async run(request: ClientRequest): Promise<ClientResponse> {
    const tagged = this.tagged(request)
    const message = await this.#upload(tagged)
    return { message, payload: await this.collect(tagged, message) }
  }

  /**
   * The request with a Request-Tag of its own where it takes several messages that must not be mixed up with those of another (RFC 9175 section 3.3):
   * where its body is large, and where its body is the question but does not go with later blocks of the answer.
   */
  tagged(request: ClientRequest): ClientRequest {
    const { code, options, payload, source } = request
    if (source === undefined && payload.length <= (code === CODE.FETCH ? 0 : this.#requester.maxPayload)) return request
    return { ...request, options: options.copy().set(OPTION.REQUEST_TAG, this.#settings.nextTag()) }
  }

  /** The whole payload that a response begins. */
  async collect(request: ClientRequest, first: Message): Promise<Uint8Array> {
    let response = first
    for (let restarts = 0; ; restarts++) {
      const payload = await this.#download(request, response)
      if (payload !== undefined) return payload
      if (restarts === RESTARTS) throw new IopaError(502, 'unstable-answer', 'The answer changed again and again while its blocks were fetched.')
      response = await this.#upload(request)
    }
  }

  /** Sends the body of a request but for its last block. The caller sends that and waits for the response; a message instead of it is a response that came before. */
  async lead({ code, options, payload, source }: ClientRequest): Promise<LastPart | Message> {
    const { maxPayload, maxSzx } = this.#requester
    const early = options.copy()
    if (maxSzx < 6) early.set(OPTION.BLOCK2, blockValue(0, false, maxSzx))
    if (source === undefined && payload.length <= maxPayload) return { options: early, payload }
    const body = source ?? new BodySource(payload)
    let szx = maxSzx
    for (let start = 0; ; ) {
      const size = blockSize(szx)
      const most = szx === BERT ? maxPayload - (maxPayload % size) : size
      if (!body.knows(size)) await this.#read(body, size)
      const { bytes, more } = body.part(size, source === undefined ? most : Math.min(most, LARGEST_STREAMED))
      const block = early.copy().set(OPTION.BLOCK1, blockValue(start / size, more, szx))
      if (start === 0 && body.size !== undefined) block.set(OPTION.SIZE1, body.size)
      if (!more) return { options: block, payload: bytes }
      const response = await this.#once(code, block, bytes)
      const agreed = response.options.uint(OPTION.BLOCK1)
      const smaller = agreed === undefined ? szx : Math.min(szx, readBlock(agreed).szx)
      if (response.code === CODE.REQUEST_ENTITY_TOO_LARGE && start === 0 && smaller < szx) {
        // Not the body is too large but the block (RFC 7959 section 2.9.3).
        szx = smaller
        continue
      }
      if (agreed === undefined || response.code >> 5 !== 2) return response
      szx = smaller
      start += bytes.length
      body.advance(bytes.length)
    }
  }

  /** Reads on in a body; the server is not awaited meanwhile. */
  #read(body: BodySource, length: number): Promise<void> {
    this.#settings.awaits?.('body')
    return abortable(this.#settings.signal, () => body.fill(length))
  }

  async #upload(request: ClientRequest): Promise<Message> {
    const { slots, signal } = this.#settings
    const { source, payload } = request
    const held = slots !== undefined && (source !== undefined || payload.length > this.#requester.maxPayload)
    try {
      if (held) await slots.enter(signal)
    } catch (error) {
      source?.giveUp()
      throw error
    }
    try {
      const last = await this.lead(request)
      return 'code' in last ? last : await this.#once(request.code, last.options, last.payload)
    } finally {
      if (held) slots.leave()
      // The server may have answered before the end.
      source?.giveUp()
    }
  }

  /** Sends a request; rejects when no answer can come. Of an answer in blocks the first one is there, and a change at the server fails the others. */
  async begin(request: ClientRequest): Promise<StreamedResponse> {
    const tagged = this.tagged(request)
    const message = await this.#upload(tagged)
    return { message, payload: hasMore(message) ? this.#readOn(tagged, message) : message.payload }
  }

  async *#readOn(request: ClientRequest, first: Message): AsyncGenerator<Uint8Array, undefined> {
    yield first.payload
    const same = yield* this.#further(request, first)
    if (!same) throw changed()
    return undefined
  }

  /** The rest of a payload; undefined when it is not the same any more. */
  async #download(request: ClientRequest, first: Message): Promise<Uint8Array | undefined> {
    if (!hasMore(first)) return first.payload
    const parts = [first.payload]
    let length = first.payload.length
    const blocks = this.#further(request, first)
    for (;;) {
      this.#assertRoom(length)
      const step = await blocks.next()
      if (step.done === true) return step.value ? Buffer.concat(parts, length) : undefined
      parts.push(step.value)
      length += step.value.length
    }
  }

  /** The blocks behind the first; false at the end of those of a safe request when they do not belong to the first any more. */
  async *#further({ code, options }: ClientRequest, first: Message): AsyncGenerator<Uint8Array, boolean> {
    const etag = first.options.get(OPTION.ETAG)
    let { length } = first.payload
    let { szx } = readBlock(first.options.uint(OPTION.BLOCK2) as number)
    // A server that offers an Echo sends small blocks because it has not verified this address yet.
    let grows = first.options.has(OPTION.ECHO)
    for (let more = true; more; ) {
      if (length % blockSize(szx) !== 0) throw malformed()
      while (grows && szx < this.#requester.maxSzx && length % blockSize(szx + 1) === 0) szx++
      const next = options
        .copy()
        .delete(OPTION.OBSERVE)
        .delete(OPTION.ETAG)
        .set(OPTION.BLOCK2, blockValue(length / blockSize(szx), false, szx))
      const response = await this.#once(code, next, NOTHING)
      if (response.code !== first.code) {
        if (response.code === CODE.REQUEST_ENTITY_INCOMPLETE && isSafe(code)) return false
        throw new IopaError(502, 'incomplete-answer', 'The peer answered a block of its answer with an error.')
      }
      const tag = response.options.get(OPTION.ETAG)
      if (etag === undefined ? tag !== undefined : tag === undefined || !sameEtag(etag, tag)) {
        if (isSafe(code)) return false
        throw changed()
      }
      const block = response.options.uint(OPTION.BLOCK2)
      if (block === undefined) throw malformed()
      const read = readBlock(block)
      if (read.num * blockSize(read.szx) !== length || !fitsBlock(read, response.payload.length)) throw malformed()
      length += response.payload.length
      grows ||= response.options.has(OPTION.ECHO)
      szx = read.szx
      more = read.more
      yield response.payload
    }
    return true
  }

  #assertRoom(length: number): void {
    if (length > this.#settings.bodyLimit)
      throw new IopaError(502, 'received-too-large', `The answer is larger than ${this.#settings.bodyLimit} bytes; raise limits.body to take it.`)
  }

  /** Sends one message and waits for its response; one that asks for an Echo is sent once more. */
  async #once(code: number, options: Options, payload: Uint8Array): Promise<Message> {
    const response = await this.#exchange(code, options, payload)
    const echo = response.code === CODE.UNAUTHORIZED ? response.options.get(OPTION.ECHO) : undefined
    return echo === undefined ? response : this.#exchange(code, options.set(OPTION.ECHO, echo), payload)
  }

  #exchange(code: number, options: Options, payload: Uint8Array): Promise<Message> {
    const { signal, confirmable, awaits, tokenLength, token, understands } = this.#settings
    return new Promise<Message>((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      const abort = (): void => {
        open.close()
        reject(signal!.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      const requester = this.#requester
      const { echo } = requester
      if (echo !== undefined && !options.has(OPTION.ECHO)) options.set(OPTION.ECHO, echo)
      requester.echo = undefined
      const settled = (): void => {
        signal?.removeEventListener('abort', abort)
      }
      awaits?.('receipt')
      const open = requester.open(code, options, payload, confirmable, {
        understands,
        tokenLength,
        token,
        received() {
          awaits?.('answer')
        },
        response(message) {
          settled()
          offered(requester, message)
          // The listener may be called before open() has returned, where the requester answers at once.
          queueMicrotask(() => open.close())
          resolve(message)
          return true
        },
        failed(error) {
          settled()
          reject(error)
        }
      })
    })
  }
}

/** Keeps an Echo that comes with a success for the next request; one that comes with 4.01 belongs to the request that is repeated. */
export const offered = (requester: Requester, message: Message): void => {
  const echo = message.code >> 5 === 2 ? message.options.get(OPTION.ECHO) : undefined
  if (echo !== undefined) requester.echo = echo
}

const malformed = (): IopaError => new IopaError(502, 'bad-block', 'The peer sent a block that does not fit to those before it.')

const changed = (): IopaError => new IopaError(502, 'unstable-answer', 'The answer changed while its blocks were fetched.')

/** True for the first of several blocks. @throws IopaError for a block that is not as long as it says */
const hasMore = ({ options, payload }: Message): boolean => {
  const value = options.uint(OPTION.BLOCK2)
  if (value === undefined) return false
  if (!fitsBlock(readBlock(value), payload.length)) throw malformed()
  return value >= 8 && (value & 8) !== 0
}
