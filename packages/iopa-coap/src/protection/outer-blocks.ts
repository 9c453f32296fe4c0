import { addressGroup, type Clock, type HeldBytes, type PlainMessage } from '@iopa/transport'
import { BERT, blockSize, blockValue, MAX_SZX, readBlock } from '../codec/block.ts'
import { CODE } from '../codec/codes.ts'
import { OPTION } from '../codec/option-registry.ts'
import { NO_OPTIONS, type Options } from '../codec/options.ts'
import { type AmplificationGuard, clampedForEcho, SHORT } from '../exchanges/amplification.ts'
import type { Exchange } from '../exchanges/exchange.ts'
import { type Sized, Snapshots } from '../exchanges/snapshots.ts'
import { Uploads } from '../exchanges/uploads.ts'
import type { ErrorResponses } from '../resources/error-responses.ts'
import { CoapRequest } from '../resources/request.ts'
import { Refusal } from '../resources/request-reader.ts'
import { largestSzx, type Responses } from '../resources/responses.ts'
import { PROTECTION_OVERHEAD } from './associations.ts'
import { optionsOf, plainOf } from './plain-messages.ts'

/** Bytes of the largest protected message that is put together from outer blocks: what is larger has to come in inner ones (RFC 8613 section 4.1.3.4.2). */
export const MAX_UNFRAGMENTED_SIZE = 65_535

/** Protected messages that are put together or kept at once, and how many of them may be full. */
const COUNT = 256
const COUNT_PER_PEER = 32
const FULL = 64
const BUSY_SECONDS = 30
const NOTHING = new Uint8Array(0)

/** What belongs to one message of a transfer in outer blocks, and not to what is protected. */
const OUTER: ReadonlySet<number> = new Set([OPTION.BLOCK1, OPTION.BLOCK2, OPTION.SIZE1, OPTION.SIZE2])

/** What outer blocks need of the server. */
export interface OuterBlocksInit {
  readonly clock: Clock
  readonly guard: AmplificationGuard
  readonly errors: ErrorResponses
  readonly responses: Responses
  readonly bodies: HeldBytes | undefined
  /** Size exponent of the largest block on datagrams. */
  readonly szx: number
  /** Milliseconds for which parts of a message are kept. */
  readonly lifetime: number
}

/** A protected response of which further blocks may be asked for. */
interface KeptResponse extends Sized {
  readonly message: PlainMessage
}

/**
 * The blocks into which a proxy cuts protected messages (RFC 8613 section 4.1.3.4.2). They prove nothing until the whole is opened, so what they take is
 * within the share of one address.
 */
export class OuterBlocks {
  readonly #init: OuterBlocksInit
  readonly #requests: Uploads
  readonly #responses: Snapshots<KeptResponse>

  constructor(init: OuterBlocksInit) {
    const { lifetime, bodies } = init
    this.#init = init
    const bytes = FULL * MAX_UNFRAGMENTED_SIZE
    this.#requests = new Uploads({ body: MAX_UNFRAGMENTED_SIZE, bytes, count: COUNT, countPerOwner: COUNT_PER_PEER, lifetime }, bodies)
    this.#responses = new Snapshots({ bytes, count: COUNT, countPerOwner: COUNT_PER_PEER, lifetime })
  }

  /**
   * The protected request that an exchange brings or completes; undefined where it was answered: its next block is asked for, a block of a response was, or it is refused.
   * The peer has its endpoint.
   */
  request(exchange: Exchange): PlainMessage | undefined {
    const { message } = exchange
    const { options } = message
    const block1 = options.uint(OPTION.BLOCK1)
    const block2 = options.uint(OPTION.BLOCK2)
    try {
      for (const number of [OPTION.BLOCK1, OPTION.BLOCK2]) checkBlock(exchange, number)
      if (block2 !== undefined && block2 > 15) this.#resume(exchange, block2)
      else if (block1 === undefined) return plainOf(message, OUTER)
      else {
        const payload = this.#assemble(exchange, block1)
        if (payload !== undefined) return { ...plainOf(message, OUTER), payload }
      }
    } catch (error) {
      this.#init.errors.refuse(exchange, error)
    }
    return undefined
  }

  /** Sends a protected response, or its first block where that is what the request asks for. */
  respond(exchange: Exchange, response: PlainMessage): void {
    const asked = exchange.message.options.uint(OPTION.BLOCK2)
    const { payload } = response
    const { reliable, maxSzx } = exchange.remote
    const szx = asked === undefined ? Math.min(MAX_SZX, maxSzx) : this.#szxOf(exchange, asked)
    // An inner block of the largest size is sent as it is, unless a proxy has asked for less.
    const most = asked !== undefined ? blockSize(szx) : reliable ? Number.POSITIVE_INFINITY : blockSize(szx) + PROTECTION_OVERHEAD
    if (payload.length <= most) exchange.respond(response.code, outerOptions(exchange, response), payload)
    else {
      const kept: KeptResponse = { message: response, held: payload.length }
      this.#responses.keep(exchange.remote, keyOf(exchange), kept, this.#init.clock.elapsed())
      this.#sendBlock(exchange, response, 0, szx)
    }
  }

  /** Forgets what is kept for a connection that is closed. */
  forget({ remote }: Pick<Exchange, 'remote'>): void {
    this.#requests.forget(remote)
    this.#responses.forget(remote)
  }

  /** Drops what nothing has asked for in time. */
  expire(now: number): void {
    this.#requests.expire(now)
    this.#responses.expire(now)
  }

  /** True while something is kept. */
  get busy(): boolean {
    return this.#requests.size > 0 || this.#responses.size > 0
  }

  #assemble(exchange: Exchange, value: number): Uint8Array | undefined {
    const { errors, responses, clock } = this.#init
    const { remote, message } = exchange
    const block = readBlock(value)
    const announced = message.options.uint(OPTION.SIZE1)
    const result = this.#requests.accept(remote, keyOf(exchange), block, message.payload, announced, clock.elapsed(), {
      unverified: addressGroup(remote.address),
      sender: { 'server.User': undefined, 'server.RemoteAddress': remote.address }
    })
    switch (result.outcome) {
      case 'complete':
        return result.body
      case 'continue':
        responses.proceed(exchange, block.num, block.szx)
        return undefined
      case 'too-large':
        throw new Refusal(
          CODE.REQUEST_ENTITY_TOO_LARGE,
          `A protected message has at most ${MAX_UNFRAGMENTED_SIZE} bytes; protect blocks of its body.`
        )
      case 'incomplete':
        throw new Refusal(CODE.REQUEST_ENTITY_INCOMPLETE, 'A block before this one is missing; begin again with block 0.')
      case 'malformed':
        throw new Refusal(CODE.BAD_REQUEST, 'The payload is not as long as its block says.')
      default:
        errors.busy(exchange, BUSY_SECONDS)
        return undefined
    }
  }

  #resume(exchange: Exchange, asked: number): void {
    const kept = this.#responses.find(keyOf(exchange), this.#init.clock.elapsed())
    if (kept === undefined) throw new Refusal(CODE.REQUEST_ENTITY_INCOMPLETE, 'The response that this block belongs to is not kept any more.')
    const { num, szx } = readBlock(asked)
    const start = num * blockSize(szx)
    if (start >= kept.message.payload.length) throw new Refusal(CODE.BAD_REQUEST, 'There is no such block.')
    this.#sendBlock(exchange, kept.message, start, this.#szxOf(exchange, asked))
  }

  #sendBlock(exchange: Exchange, { code, options, payload }: PlainMessage, start: number, szx: number): void {
    const { guard, errors } = this.#init
    const written = outerOptions(exchange, { code, options, payload })
    const room = guard.room(exchange, written.length + 8)
    if (room < SHORT) {
      errors.challenge(exchange)
      return
    }
    const smaller = clampedForEcho(szx, room)
    const end = Math.min(payload.length, start + blockSize(smaller))
    written.set(OPTION.BLOCK2, blockValue(start / blockSize(smaller), end < payload.length, smaller))
    exchange.respond(code, written, payload.subarray(start, end))
  }

  #szxOf({ remote }: Exchange, asked: number): number {
    return Math.min(asked & 7, remote.reliable ? MAX_SZX : largestSzx(remote, this.#init.szx))
  }
}

/** The options of a protected response, and the acknowledgement of the last block of its request. */
const outerOptions = ({ message }: Exchange, response: PlainMessage): Options => {
  const block1 = message.options.uint(OPTION.BLOCK1)
  const options = response.options.length === 0 && block1 === undefined ? NO_OPTIONS.copy() : optionsOf(response)
  return block1 === undefined ? options : options.set(OPTION.BLOCK1, block1 & ~8)
}

const checkBlock = ({ message, remote }: Exchange, number: number): void => {
  const [value = NOTHING, ...more] = message.options.getAll(number)
  if (value.length > 3 || more.length > 0) throw new Refusal(CODE.BAD_OPTION, 'A block option has at most three bytes, and is there once.', number)
  const szx = (value.at(-1) ?? 0) & 7
  if (szx === BERT && !remote.reliable) throw new Refusal(CODE.BAD_REQUEST, 'A block has a size exponent from 0 to 6.')
}

/** What the blocks of one protected message of one peer have in common. */
const keyOf = ({ remote, message }: Exchange): string => `${remote.endpoint!.sessionId}\n${new CoapRequest(message).transferKey}`
