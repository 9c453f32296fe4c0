import { type CodecTable, IopaError, isIopaError, withOrigin } from '@iopa/constants'
import { collectBytes, decodeJson } from './body.ts'
import { textOf } from './charset.ts'
import type { Encoded } from './encoding.ts'
import type { Payload } from './payload-stream.ts'
import { KIND, type Kind, kindOf } from './value-kind.ts'

/** The answer that is read. */
export interface ReadableAnswer {
  readonly sealed: boolean
  readonly status: number
  readonly body: unknown
  readonly payload: Payload
  readonly payloadBytes: Uint8Array<ArrayBuffer>
  readonly headers: { has(name: string): boolean }
  type: string
  setBody(body: unknown, kind: Kind): void
  collect(limit: number): Promise<void>
}

/** The content of an answer: as it is or would be sent, and as bytes. */
interface Content {
  readonly payload: string | Uint8Array | null
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly type: string
}

/** Reads an answer: what a client has received, or what would be sent if the answer were sealed now. A stream that was read stays readable. */
export class AnswerReading {
  readonly #answer: ReadableAnswer
  readonly #encode: () => Encoded
  readonly #origin: 'upstream' | 'internal'
  readonly #limit: number
  #collecting: Promise<Content> | null = null

  /** `encode` gives what sealing would send; `limit` bounds what is read before that. */
  constructor(answer: ReadableAnswer, encode: () => Encoded, origin: 'upstream' | 'internal', limit: number) {
    this.#answer = answer
    this.#encode = encode
    this.#origin = origin
    this.#limit = limit
  }

  async bytes(limit?: number): Promise<Uint8Array<ArrayBuffer>> {
    return (await this.#content(limit)).bytes
  }

  async text(): Promise<string> {
    const { payload, bytes, type } = await this.#content()
    return typeof payload === 'string' ? payload : this.#judge(() => textOf(bytes, type))
  }

  async json(codecs: CodecTable): Promise<unknown> {
    const { payload, bytes, type } = await this.#content()
    const { status } = this.#answer
    if (payload === null || (bytes.length === 0 && (status === 204 || status === 205 || status === 304))) return undefined
    return this.#judge(() => decodeJson(bytes, type, codecs))
  }

  async #content(limit?: number): Promise<Content> {
    if (!this.#answer.sealed) return this.#preview(limit ?? this.#limit)
    try {
      await this.#answer.collect(limit ?? Number.MAX_SAFE_INTEGER)
    } catch (error) {
      throw withOrigin(error, this.#origin)
    }
    return contentOf(this.#answer.payload, this.#answer.type, this.#answer.payloadBytes)
  }

  async #preview(limit: number): Promise<Content> {
    if (this.#collecting !== null) return this.#collecting
    const { body } = this.#answer
    const { payload, type } = this.#encode()
    if (payload !== null && typeof payload === 'object' && !(payload instanceof Uint8Array)) {
      this.#collecting = this.#collect(body, payload, type, limit).finally(() => {
        this.#collecting = null
      })
      return this.#collecting
    }
    // A generator can be asked once.
    if (typeof body === 'object' && body !== null && kindOf(body) === KIND.Items) this.#keep(payload, type)
    return contentOf(payload, type)
  }

  async #collect(body: unknown, stream: AsyncIterable<Uint8Array>, type: string, limit: number): Promise<Content> {
    const replaced = (): boolean => this.#answer.sealed || this.#answer.body !== body
    try {
      const payload = await collectBytes(stream, limit)
      if (!replaced()) this.#keep(payload, type)
      return contentOf(payload, type)
    } catch (error) {
      const failure = isIopaError(error) && error.code === 'body-too-large' ? tooLarge(limit) : withOrigin(error, 'internal')
      // What is left of the stream is not the body.
      if (!replaced()) this.#answer.setBody(failure, KIND.Error)
      throw failure
    }
  }

  #keep(payload: Payload, type: string): void {
    this.#answer.setBody(payload, kindOf(payload))
    if (!this.#answer.headers.has('content-type')) this.#answer.type = type
  }

  /** Marks a decoding error with the origin of the body, so that the peer whose request is handled is not blamed for it. */
  #judge<T>(decode: () => T): T {
    try {
      return decode()
    } catch (error) {
      throw withOrigin(error, this.#origin)
    }
  }
}

const tooLarge = (limit: number): IopaError =>
  new IopaError(500, 'answer-too-large', `A streamed body of more than ${limit} bytes cannot be read before it is sent.`)

const utf8 = new TextEncoder()

const contentOf = (payload: Payload, type: string, bytes?: Uint8Array<ArrayBuffer>): Content => {
  const content = payload as string | Uint8Array<ArrayBuffer> | null
  return { payload: content, bytes: bytes ?? (typeof content === 'string' ? utf8.encode(content) : (content ?? new Uint8Array(0))), type }
}
