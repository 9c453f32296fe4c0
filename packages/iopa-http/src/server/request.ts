import type { Body, Context, IopaError, RequestSource } from '@iopa/transport'
import { type BodyDecoder, ChunkedBody, SizedBody } from '../message/body-decoder.ts'
import type { HeadFields, RequestHead } from '../message/request-head.ts'
import type { Inflow } from './inflow.ts'
import { type BodyPort, RequestBody } from './request-body.ts'

/** One request, and how far it and its answer have come. */
export class HttpRequest implements RequestSource {
  readonly method: string
  readonly target: string
  readonly minor: 0 | 1
  readonly fields: HeadFields
  /** Empty where none is to be met. */
  expectation: string
  /** Host and port as the client addressed them, where that is not the Host header. */
  addressed = ''
  /** Set once the request has been admitted to the pipeline. */
  context: Context | null = null
  /** Takes the body out of what comes in; null for none. */
  readonly decoder: BodyDecoder | null
  /** Somebody has begun to read the body. */
  stream: RequestBody | null = null
  /** Why the body cannot be read, when that is known before anybody asks for it. */
  fault: IopaError | null = null
  /** Its answer is the last of the connection. */
  closes: boolean
  /** Its time was over before its body was whole. */
  late = false
  /** The head of its answer has been written. */
  begun = false
  /** Its answer is a stream of events. */
  endless = false
  /** Its answer is a stream in chunks, of which the last has not been written. */
  chunked = false
  /** Address of the client behind a proxy, while the request is counted as its; empty otherwise. */
  client = ''
  readonly #limit: number
  readonly #port: BodyPort

  constructor({ method, target, minor, fields }: RequestHead, bodyLimit: number, trailerLimit: number, port: BodyPort) {
    this.method = method
    this.target = target
    this.minor = minor
    this.fields = fields
    this.expectation = fields.expectation
    this.closes = fields.closes || (minor === 0 && !fields.keepsAlive)
    this.decoder = fields.length === 0 ? null : fields.length < 0 ? new ChunkedBody(trailerLimit) : new SizedBody(fields.length)
    this.#limit = bodyLimit
    this.#port = port
  }

  headers(): string[] {
    return this.fields.pairs
  }

  hasPrecondition(): boolean {
    return this.fields.conditional
  }

  authority(): string {
    return this.addressed || (this.fields.host ?? '')
  }

  body(): Body {
    if (this.decoder === null) return null
    this.stream = new RequestBody(this.#port, this.#limit)
    if (this.fault !== null) this.stream.fail(this.fault)
    return this.stream
  }

  /** True while more of the body is to come, or was not read. */
  get unread(): boolean {
    return this.decoder !== null && !this.decoder.done
  }

  /** True when the rest of the body is of no use to anybody. */
  get failed(): boolean {
    return this.fault !== null || this.stream?.failed === true
  }

  /** True when the rest of the body may not be read over, so that no request can follow; reads over what has come in chunks. */
  isUnfinishable(inflow: Inflow): boolean {
    if (this.decoder === null || this.decoder.done) return false
    // A client that was not asked for its body may send it or not (RFC 9110 section 10.1.1).
    if (this.failed || this.expectation !== '' || this.fields.length > this.#limit) return true
    if (this.fields.length >= 0) return false
    // What was refused is not looked at again. All of a chunked body may be there.
    if (this.context === null) return true
    // A stream that has left did not say that it is the last answer.
    return !inflow.skip(this.decoder) && !this.begun
  }

  /** Fails the body for whoever reads it, now or later. */
  break(fault: IopaError): void {
    this.fault ??= fault
    this.stream?.fail(fault)
  }
}
