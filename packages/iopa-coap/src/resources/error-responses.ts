import { type Counters, isIopaError, type Limits, type Logger } from '@iopa/transport'
import { CODE, codeOfStatus, statusOfCode } from '../codec/codes.ts'
import { OPTION } from '../codec/option-registry.ts'
import { NO_OPTIONS, Options } from '../codec/options.ts'
import type { AmplificationGuard } from '../exchanges/amplification.ts'
import type { Exchange } from '../exchanges/exchange.ts'
import { encodeProblem } from '../formats/problem-details.ts'
import { addProblemCode, diagnostic, PROBLEM_FORMAT, type Representation } from './representation.ts'
import type { CoapRequest } from './request.ts'
import { Refusal } from './request-reader.ts'

const NONE = -1
const NOTHING = new Uint8Array(0)

/** What error responses are made of. */
export interface ErrorResponseSettings {
  readonly limits: Limits
  readonly logger: Logger
  readonly guard: AmplificationGuard
  readonly counters: Pick<Counters, 'refusal'>
}

/** Answers requests that have come to nothing: refused, over a limit, or failed here. */
export class ErrorResponses {
  readonly #settings: ErrorResponseSettings
  readonly #writer = new Options()

  constructor(settings: ErrorResponseSettings) {
    this.#settings = settings
  }

  /** Refuses a body; naming the block says that one of another size would do no better (RFC 7959 section 2.9.3). */
  tooLarge(exchange: Exchange, request: CoapRequest): void {
    const { body } = this.#settings.limits
    this.#report(413, 'body-too-large', exchange)
    const options = this.#writer.reset()
    if (request.block1 !== NONE) options.add(OPTION.BLOCK1, request.block1 & ~8)
    options.add(OPTION.SIZE1, body)
    if (exchange.remote.verified) addProblemCode(options, 'body-too-large')
    exchange.respond(CODE.REQUEST_ENTITY_TOO_LARGE, options, Buffer.from(`The body is larger than ${body} bytes.`))
  }

  /** Says that there is no room now. */
  busy(exchange: Exchange, seconds: number): void {
    this.#report(503, 'bodies-in-memory', exchange)
    exchange.respond(CODE.SERVICE_UNAVAILABLE, this.#writer.reset().add(OPTION.MAX_AGE, seconds), NOTHING)
  }

  /** Asks the peer to show that it receives at its address (RFC 9175 section 2.4). */
  challenge(exchange: Exchange): void {
    const { guard } = this.#settings
    if (exchange.toMulticast) exchange.suppress()
    else exchange.respond(CODE.UNAUTHORIZED, this.#writer.reset().add(OPTION.ECHO, guard.challenge(exchange.remote)), NOTHING)
  }

  /** Answers with an error before there is a context, in the form that Accept asks for; a fault of our own is logged, and not told. */
  refuse(exchange: Exchange, error: unknown): void {
    const refusal = refusalOf(error, exchange.message.code)
    if (refusal === undefined) {
      this.fail(exchange, error)
      return
    }
    if (isIopaError(error)) this.#report(error.status, error.code, exchange)
    else this.#report(statusOfCode(refusal.code, false), 'refused', exchange)
    if (exchange.toMulticast) {
      exchange.suppress()
      return
    }
    const { code, detail, option } = refusal
    if (exchange.message.options.uint(OPTION.ACCEPT) === PROBLEM_FORMAT && exchange.remote.verified) {
      const problem = encodeProblem({ detail, responseCode: code, unprocessedOptions: option === undefined ? undefined : [option] })
      exchange.respond(code, this.#writer.reset().add(OPTION.CONTENT_FORMAT, PROBLEM_FORMAT), problem)
    } else {
      const text = diagnostic(code, detail)
      const room = this.#settings.guard.room(exchange, 0)
      const options = isIopaError(error) && exchange.remote.verified ? addProblemCode(this.#writer.reset(), error.code) : NO_OPTIONS
      exchange.respond(code, options, (text.size > room ? shortened(text, room) : text).payload as Uint8Array)
    }
  }

  #report(status: number, code: string, { remote }: Exchange): void {
    this.#settings.counters.refusal(status, code, { remoteAddress: remote.address, remotePort: remote.endpoint?.remotePort ?? 0 })
  }

  /** Answers 5.00, to a group nothing, and logs why. */
  fail(exchange: Exchange, error: unknown): void {
    this.#settings.logger.error('iopa: a CoAP answer could not be made', error)
    if (exchange.toMulticast) exchange.suppress()
    else exchange.respond(CODE.INTERNAL_SERVER_ERROR, NO_OPTIONS, NOTHING)
  }
}

/** An error whose text is cut, at a character, or left out where it is no plain text. */
export const shortened = (representation: Representation, room: number): Representation => {
  const text = representation.payload as Uint8Array
  let end = representation.contentFormat !== NONE || room < 16 ? 0 : room
  while (end > 0 && (text[end]! & 0xc0) === 0x80) end--
  return { ...representation, contentFormat: NONE, payload: text.subarray(0, end), size: end }
}

/** The refusal that an error is to the sender of a request of code `method`; undefined for a fault that is not the sender's. */
const refusalOf = (error: unknown, method: number): Refusal | undefined =>
  error instanceof Refusal ? error : isIopaError(error) ? new Refusal(codeOfStatus(error.status, method), error.detail) : undefined
