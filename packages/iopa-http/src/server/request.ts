import type { Body, Context, IopaError, RequestSource, Trailers } from '@iopa/transport'
import type { HeadFields, RequestHead } from '../message/request-head.ts'
import { type BodySource, RequestBody } from './request-body.ts'
import { RequestTrailers } from './trailers.ts'

/** Informational answers of one request. */
const MOST_INFORMED = 16

/** One request as the app sees it: what a context is made of, and what the connection has to remember of it. */
export class HttpRequest implements RequestSource {
  readonly method: string
  readonly target: string
  readonly minor: 0 | 1
  readonly fields: HeadFields
  /** Host and port as the client addressed them, where that is not the Host header. */
  addressed = ''
  /** Set once the request has been admitted to the pipeline. */
  context: Context | null = null
  /** Its answer has no end that the peer could wait for. */
  endless = false
  /** Its time was over before its body was whole. */
  late = false
  /** It is refused, and of a kind that another server may have read otherwise: nothing may follow it. */
  doubtful = false
  /** It is answered, or given up. */
  over = false
  /** Address of the client behind a proxy, while the request is counted as its; empty otherwise. */
  client = ''
  /** Set once the app has asked for the body. */
  #body: RequestBody | null = null
  /** Why the body cannot be read, when that is known before the app asks for it. */
  #fault: IopaError | null = null
  /** Informational answers that were sent. */
  #informed = 0
  /** What comes and leaves after the bodies, where the app has asked for it. */
  #trailers: RequestTrailers | null = null
  /** True once the head of the answer is written. */
  #begun = false
  readonly #limit: number
  readonly #port: BodySource

  /** Copies the head, which the next request overwrites; the body has at most `limit` bytes. */
  constructor({ method, target, minor, fields }: RequestHead, limit: number, port: BodySource) {
    this.method = method
    this.target = target
    this.minor = minor
    this.fields = fields
    this.#limit = limit
    this.#port = port
  }

  inform(status: number, pairs: readonly string[]): boolean {
    if (this.minor === 0 || this.over || this.#informed === MOST_INFORMED || !this.#port.inform(status, pairs)) return false
    this.#informed++
    return true
  }

  trailers(): Trailers {
    return (this.#trailers ??= new RequestTrailers(this))
  }

  get received(): readonly string[] {
    return this.#body?.trailers ?? []
  }

  get open(): boolean {
    return this.minor > 0 && this.method !== 'HEAD' && !this.over && !this.#begun
  }

  /** The head of the answer is about to be written: the trailers that follow its body, null for none. None are added from now on. */
  begin(): RequestTrailers | null {
    this.#begun = true
    return this.#trailers === null || this.#trailers.names === '' ? null : this.#trailers
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
    if (this.fields.length === 0) return null
    this.#body = new RequestBody(this.#port, this.#limit)
    if (this.#fault !== null) this.#body.fail(this.#fault)
    return this.#body
  }

  /** Fails the body for those who read it, now or later. */
  break(fault: IopaError): void {
    this.#fault ??= fault
    this.#body?.fail(fault)
  }
}
