import { IopaError } from '@iopa/appbuilder'
import type { RandomAccessBody } from '@iopa/constants'

/** Bytes up to which a body is collected: beyond that it is passed on while it comes. */
const COLLECTED = 64 * 1024
/** Bytes that stay when they were read, for a peer that asks for a block once more. */
const KEPT = 64 * 1024

type Step = IteratorResult<Uint8Array, undefined>

/** A body that is passed on while it comes, and read once. */
export class LargeBody implements AsyncIterableIterator<Uint8Array, undefined> {
  /** Bytes of it, where the peer has said that. */
  readonly size: number | undefined
  /** What reading it has failed with. */
  failure: unknown
  readonly #first: Uint8Array[]
  readonly #rest: AsyncIterator<Uint8Array>
  readonly #most: number
  readonly #done: () => void
  #length = 0
  #over = false

  constructor(first: Uint8Array[], rest: AsyncIterator<Uint8Array>, { size, most = Number.POSITIVE_INFINITY, done }: BodyInit) {
    this.#first = first
    this.#rest = rest
    this.#most = most
    this.#done = done ?? (() => undefined)
    this.size = size
  }

  async next(): Promise<Step> {
    if (this.#over) return { done: true, value: undefined }
    try {
      const first = this.#first.shift()
      const step = first === undefined ? await this.#rest.next() : { value: first }
      if (step.done === true) {
        this.#end()
        return { done: true, value: undefined }
      }
      this.#length += step.value.length
      if (this.#length > this.#most) throw new IopaError(502, 'received-too-large', `The answer is larger than ${this.#most} bytes.`)
      return { done: false, value: step.value }
    } catch (error) {
      this.failure = error
      await this.return()
      throw error
    }
  }

  /** It is not wanted any more. */
  async return(): Promise<Step> {
    if (!this.#over) {
      this.#end()
      // A generator that waits for something returns when it has it, which may be never.
      this.#rest.return?.()?.then(undefined, () => undefined)
    }
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #end(): void {
    this.#over = true
    this.#first.length = 0
    this.#done()
  }
}

/** What is known of a body, and what is done at its end. */
interface BodyInit {
  readonly size?: number | undefined
  /** Most bytes of it. */
  readonly most?: number
  /** Called once, when it has been read or is not wanted. */
  readonly done?: () => void
}

/** Collects a short body, null where it is empty; a larger one is read while it is passed on. */
export const passedOn = async (source: AsyncIterable<Uint8Array>, init: BodyInit = {}): Promise<Uint8Array | LargeBody | null> => {
  const parts: Uint8Array[] = []
  let length = 0
  const rest = source[Symbol.asyncIterator]()
  try {
    while (length <= COLLECTED) {
      const step = await rest.next()
      if (step.done === true) {
        init.done?.()
        return length === 0 ? null : parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts, length)
      }
      parts.push(step.value)
      length += step.value.length
    }
  } catch (error) {
    init.done?.()
    throw error
  }
  return new LargeBody(parts, rest, init)
}

/** A body of known size whose parts are read in turn, as a client of CoAP asks for its blocks. What lies far behind is gone. */
export class BodyInTurn implements RandomAccessBody {
  readonly size: number
  readonly #body: LargeBody
  /** What is kept begins here. */
  #start = 0
  #kept: Buffer = Buffer.alloc(0)
  #reading: Promise<unknown> = Promise.resolve()

  constructor(body: LargeBody, size: number) {
    this.#body = body
    this.size = size
  }

  read(start: number, end: number): Promise<Uint8Array> {
    const part = this.#reading.then(() => this.#read(start, end))
    this.#reading = part.catch(() => undefined)
    return part
  }

  [Symbol.asyncIterator](): LargeBody {
    return this.#body
  }

  /** True where nothing comes after what was read. */
  async #isOver(): Promise<boolean> {
    for (;;) {
      const step = await this.#body.next()
      if (step.done === true) return true
      if (step.value.length > 0) return false
    }
  }

  async #read(start: number, end: number): Promise<Uint8Array> {
    if (start < this.#start) throw lost('This part of the answer is not kept any more; send the request again.')
    while (this.#start + this.#kept.length < end) {
      const step = await this.#body.next()
      if (step.done === true) throw lost('The answer of the server is shorter than it has said.')
      const kept = Buffer.concat([this.#kept, step.value])
      const gone = Math.max(0, Math.min(start - this.#start, kept.length) - KEPT)
      this.#kept = kept.subarray(gone)
      this.#start += gone
    }
    // What the server says of the size is a guess (RFC 7959 section 4): a part of the answer must not pass for the whole.
    if (end >= this.size && (this.#start + this.#kept.length > this.size || !(await this.#isOver())))
      throw lost('The answer of the server is longer than it has said.')
    return this.#kept.subarray(start - this.#start, end - this.#start)
  }
}

const lost = (detail: string): IopaError => new IopaError(502, 'incomplete-answer', detail)
