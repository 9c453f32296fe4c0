import type { Clock, Context } from '@iopa/transport'
import { BERT, blockSize, blockValue, readBlock } from '../codec/block.ts'
import { CODE, isSafe } from '../codec/codes.ts'
import { OPTION } from '../codec/option-registry.ts'
import { Options } from '../codec/options.ts'
import { type AmplificationGuard, clampedForEcho, SHORT } from '../exchanges/amplification.ts'
import type { Exchange, Remote } from '../exchanges/exchange.ts'
import { type ErrorResponses, shortened } from './error-responses.ts'
import type { KeptAnswer, KeptAnswers } from './kept-answers.ts'
import { diagnostic, type MessageOptions, type Representation, withoutCode, writeRepresentation } from './representation.ts'
import type { CoapRequest } from './request.ts'

const NONE = -1
const NOTHING = new Uint8Array(0)
/** With so much credit an answer that is no longer than the least block fits, whatever options it has. */
const CREDIT_FOR_SHORT = 96
const BARE: MessageOptions = { observe: NONE, block1: NONE, block2: NONE, size1: NONE, size2: NONE }
const NO_SUCH_BLOCK = diagnostic(CODE.BAD_REQUEST, 'There is no such block.')

/** How responses are made. */
export interface ResponseSettings {
  readonly clock: Clock
  readonly guard: AmplificationGuard
  readonly errors: ErrorResponses
  readonly kept: KeptAnswers
  /** Size exponent of the largest block on datagrams. */
  readonly szx: number
  /** Answers to a multicast request are spread over so many milliseconds. */
  readonly leisure: number
}

/** What an answer in blocks is made for. */
interface Reply {
  readonly exchange: Exchange
  readonly request: CoapRequest
  /** The Observe option, or -1. */
  readonly observe: number
  /** The body cannot be read any more. */
  lost(error: unknown): void
}

/** Sends representations as responses: cut into blocks where they are large, and kept until those have been fetched (RFC 7959 section 2.4). */
export class Responses {
  readonly #settings: ResponseSettings
  readonly #writer = new Options()
  readonly #errors: ErrorResponses
  readonly #kept: KeptAnswers

  constructor(settings: ResponseSettings) {
    const { errors, kept } = settings
    this.#settings = settings
    this.#errors = errors
    this.#kept = kept
  }

  /**
   * Answers a request with what of its representation fits; `observe` is the Observe option or -1.
   * `owner` is the context that a body depends on of which parts are read; it is ended when that has been read. False when the peer has to be verified first.
   */
  send(exchange: Exchange, request: CoapRequest, given: Representation, observe: number = NONE, owner?: Context): boolean {
    const { remote } = exchange
    const representation = remote.verified ? given : withoutCode(given)
    const { payload, size } = representation
    const inMemory = payload instanceof Uint8Array
    let szx = szxOf(request, remote, this.#settings.szx)
    let single = singleSize(request, remote, szx)
    if (!remote.verified && !this.#fits(exchange, request, representation, observe)) {
      const room = this.#room(exchange, representation)
      if (size > room) {
        if (representation.code >= 128) {
          this.#sendWhole(exchange, request, shortened(representation, room))
          return true
        }
        // A request that has changed the state is answered in any case: sending it again would change the state again.
        if (room < SHORT && isSafe(exchange.message.code)) {
          void owner?.end()
          this.#errors.challenge(exchange)
          return false
        }
        szx = clampedForEcho(szx, room)
        single = Math.min(single, blockSize(szx))
      }
    }
    if (inMemory && payload.length < size) {
      this.#kept.remove(remote, request)
      this.#respond(exchange, request, representation, observe, blockValue(0, true, szx), firstBlock(remote, representation, szx))
      return true
    }
    // What is not the representation has no further blocks: an error, or 2.03 to a block with the ETag that is current.
    const whole = (size <= single && request.block2 <= 15) || (request.block2 > 15 && !isBody(representation))
    const block2 = request.block2 === NONE || request.block2 > 15 ? NONE : blockValue(0, false, szx)
    if (whole && inMemory) {
      this.#respond(exchange, request, representation, observe, block2, payload)
      return true
    }
    const reply: Reply = { exchange, request, observe, lost: error => this.#errors.fail(exchange, error) }
    if (whole) this.#sendPart(reply, representation, block2, 0, size, () => owner?.end())
    else if (request.block2 > 15) this.#sendKept(reply, this.#kept.keep(remote, request, representation, owner))
    else this.#sendBlock(reply, this.#kept.keep(remote, request, representation, owner), 0, szx)
    return true
  }

  /** Answers with a later block of an answer that was begun, and calls `lost` when that cannot be read any more; false when it is not kept. */
  resume(exchange: Exchange, request: CoapRequest, lost: (error: unknown) => void): boolean {
    const kept = this.#kept.find(exchange.remote, request)
    if (kept === undefined) return false
    const forget = (error: unknown): void => {
      this.#kept.remove(exchange.remote, request)
      lost(error)
    }
    this.#sendKept({ exchange, request, observe: NONE, lost: forget }, kept)
    return true
  }

  /** Asks for the next block of a request (RFC 7959 section 2.3). */
  proceed(exchange: Exchange, num: number, szx: number): void {
    const { remote } = exchange
    const largest = largestSzx(remote, this.#settings.szx)
    const options = this.#writer.reset().add(OPTION.BLOCK1, blockValue(num, true, Math.min(szx, largest)))
    if (!remote.verified) this.#offerEcho(exchange, options, 0)
    exchange.respond(CODE.CONTINUE, options, NOTHING)
  }

  /** Sends the block that a request asks for by its number. */
  #sendKept(reply: Reply, kept: KeptAnswer): void {
    const { exchange, request } = reply
    const { num, szx } = readBlock(request.block2)
    const room = exchange.remote.verified ? Number.POSITIVE_INFINITY : this.#room(exchange, kept.representation)
    if (room < SHORT && isSafe(exchange.message.code)) this.#errors.challenge(exchange)
    else this.#sendBlock(reply, kept, num * blockSize(szx), clampedForEcho(szxOf(request, exchange.remote, this.#settings.szx), room))
  }

  #sendBlock(reply: Reply, { representation }: KeptAnswer, start: number, szx: number): void {
    const { exchange, request } = reply
    const { remote } = exchange
    const { size } = representation
    if (start >= size && start > 0) {
      this.#sendWhole(exchange, request, NO_SUCH_BLOCK)
      return
    }
    const end = Math.min(size, start + lengthOfBlock(szx, remote))
    const more = end < size
    this.#sendPart(reply, representation, blockValue(start / blockSize(szx), more, szx), start, end, () => {
      // A body that is read in parts is not kept beyond the last one: so that its file is closed.
      if (!more && !(representation.payload instanceof Uint8Array)) this.#kept.remove(remote, request)
    })
  }

  /** Sends the bytes from `start` to `end`, which may have to be read first, then calls `sent`. */
  #sendPart(
    { exchange, request, observe, lost }: Reply,
    representation: Representation,
    block2: number,
    start: number,
    end: number,
    sent: () => void
  ): void {
    const { payload } = representation
    if (payload instanceof Uint8Array) {
      this.#respond(exchange, request, representation, observe, block2, payload.subarray(start, end))
      sent()
    } else
      payload
        .read(start, end)
        .then(part => this.#respond(exchange, request, representation, observe, block2, part))
        .catch(lost)
        .then(sent)
  }

  #sendWhole(exchange: Exchange, request: CoapRequest, representation: Representation): void {
    this.#respond(exchange, request, representation, NONE, NONE, representation.payload as Uint8Array)
  }

  #respond(exchange: Exchange, request: CoapRequest, representation: Representation, observe: number, block2: number, part: Uint8Array): void {
    const { code } = representation
    // RFC 7967 section 2.1: a bit for each class of responses that is not wanted.
    if (request.noResponse !== 0 && (request.noResponse >> ((code >> 5) - 1)) & 1) {
      exchange.suppress()
      return
    }
    const options = writeRepresentation(this.#writer, representation, {
      observe,
      block1: request.block1 === NONE ? NONE : request.block1 & ~8,
      block2,
      size1: NONE,
      // With the first of several blocks, and where it is asked for.
      size2: request.asksSize || (block2 & ~7) === 8 ? this.#size2(exchange, representation) : NONE
    })
    if (!exchange.remote.verified && code >> 5 === 2 && (observe !== NONE || (block2 !== NONE && (block2 & 8) !== 0)))
      this.#offerEcho(exchange, options, part.length)
    if (exchange.toMulticast) this.#respondLater(exchange, code, options, part)
    else exchange.respond(code, options, part)
  }

  /** The size of a body, for the Size2 option; none of an error, and none where each byte counts. */
  #size2({ remote }: Exchange, representation: Representation): number {
    return remote.verified && representation.code >> 5 === 2 && representation.code !== CODE.VALID ? representation.size : NONE
  }

  /** Adds an Echo for an unverified peer, where there is room for one: with its next request it may be sent whole blocks. */
  #offerEcho(exchange: Exchange, options: Options, payload: number): void {
    const echo = exchange.toMulticast ? undefined : this.#settings.guard.offer(exchange, options.length, payload)
    if (echo !== undefined) options.add(OPTION.ECHO, echo)
  }

  /** Answers a multicast request at a random moment, and only where there is something to say (RFC 7252 section 8.2). */
  #respondLater(exchange: Exchange, code: number, options: Options, payload: Uint8Array): void {
    if (code >> 5 !== 2 || payload.length === 0) {
      exchange.suppress()
      return
    }
    const { clock, leisure } = this.#settings
    const copy = options.copy()
    clock.setTimeout(() => exchange.respond(code, copy, payload), Math.random() * leisure)
  }

  /** True when the whole of an answer may be sent to a peer that is not verified. */
  #fits(exchange: Exchange, request: CoapRequest, representation: Representation, observe: number): boolean {
    const { size } = representation
    if (size <= SHORT && exchange.remote.credit >= CREDIT_FOR_SHORT) return true
    const { length } = writeRepresentation(this.#writer, representation, { ...BARE, observe, block2: request.block2, block1: request.block1 })
    return this.#settings.guard.allows(exchange, length, size)
  }

  /** Bytes of payload that an answer may have, beside its own options, those of a block and an ETag. */
  #room(exchange: Exchange, representation: Representation): number {
    const options = writeRepresentation(this.#writer, representation, { ...BARE, block2: 8 }).length
    return this.#settings.guard.room(exchange, options + (representation.etag === undefined ? 9 : 0))
  }
}

/** True for what is cut into blocks, and not an error or a mere code. */
const isBody = ({ code }: Representation): boolean => code >> 5 === 2 && code !== CODE.VALID

/** The size exponent of the largest block of a remote, where `szx` is that on datagrams. */
export const largestSzx = ({ reliable, maxSzx }: Remote, szx: number): number => (reliable ? maxSzx : Math.min(szx, maxSzx))

/** The size exponent that a request gets its blocks in: what it asks for, at most the largest. `szx` is the largest on datagrams. */
export const szxOf = (request: CoapRequest, remote: Remote, szx: number): number => {
  const largest = largestSzx(remote, szx)
  return request.block2 === NONE ? largest : Math.min(request.block2 & 7, largest)
}

/** Bytes of payload of a block: with BERT as many times 1024 as fit (RFC 8323 section 6). */
const lengthOfBlock = (szx: number, remote: Remote): number =>
  szx === BERT ? Math.max(1024, remote.maxPayload - (remote.maxPayload % 1024)) : 16 << szx

/** Bytes of payload that are sent in one message, without blocks. */
export const singleSize = (request: CoapRequest, remote: Remote, szx: number): number =>
  request.block2 === NONE && remote.reliable ? remote.maxPayload : lengthOfBlock(szx, remote)

/** The first block of a representation in memory. */
export const firstBlock = (remote: Remote, { payload }: Representation, szx: number): Uint8Array =>
  (payload as Uint8Array).subarray(0, lengthOfBlock(szx, remote))
