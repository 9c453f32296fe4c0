import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Body, Context, IopaError, RequestSource } from '@iopa/appbuilder'
import { RequestBody } from './request-body.ts'

const is = (name: string, title: string, lower: string): boolean => name === title || name === lower || name.toLowerCase() === lower

/** One request and the response to it. What the framing depends on is read at once, the rest when somebody asks. */
export class HttpRequest implements RequestSource {
  readonly message: IncomingMessage
  readonly response: ServerResponse
  /** The first Host header; null when there is none. */
  host: string | null = null
  hosts = 0
  accept = ''
  /** Length of the body in bytes: 0 for none, -1 for a chunked one. */
  length = 0
  /** The transfer coding as it was sent. */
  coding = ''
  expectation = ''
  /** It asks for another protocol, which it does not get; node loses what is pipelined behind it. */
  upgrades = false
  /** Set once the request has been admitted to the pipeline. */
  context: Context | null = null
  /** Host and port as the client addressed them, where that is not the Host header. */
  addressed = ''
  /** Somebody has begun to read the body. */
  stream: RequestBody | null = null
  /** Why the body cannot be read, when that is known before anybody asks for it. */
  fault: IopaError | null = null
  readonly #limit: number
  readonly #waits: (waiting: boolean) => void

  /** `waits` hears when somebody begins and ends to wait for the body. */
  constructor(message: IncomingMessage, response: ServerResponse, limit: number, waits: (waiting: boolean) => void) {
    this.message = message
    this.response = response
    this.#limit = limit
    this.#waits = waits
    const fields = message.rawHeaders
    for (let at = 0; at < fields.length; at += 2) {
      const name = fields[at] as string
      switch (name.length) {
        case 4:
          if (is(name, 'Host', 'host')) {
            this.host ??= fields[at + 1] as string
            this.hosts++
          }
          break
        case 6:
          if (is(name, 'Accept', 'accept')) this.accept = this.accept === '' ? (fields[at + 1] as string) : `${this.accept}, ${fields[at + 1]}`
          else if (is(name, 'Expect', 'expect')) this.expectation = fields[at + 1] as string
          break
        case 7:
          if (is(name, 'Upgrade', 'upgrade')) this.upgrades = true
          break
        case 14:
          if (is(name, 'Content-Length', 'content-length')) this.length = Number(fields[at + 1])
          break
        case 17:
          if (is(name, 'Transfer-Encoding', 'transfer-encoding')) {
            this.coding = fields[at + 1] as string
            this.length = -1
          }
      }
    }
  }

  headers(): string[] {
    return this.message.rawHeaders
  }

  authority(): string {
    return this.addressed || (this.host ?? '')
  }

  body(): Body {
    if (this.length === 0) return null
    this.stream = new RequestBody(
      this.message,
      this.#limit,
      () => {
        // The client may wait with its body until it is asked for (RFC 9110 section 10.1.1).
        if (this.expectation !== '' && !this.response.headersSent && !this.response.destroyed) this.response.writeContinue()
      },
      this.#waits
    )
    if (this.fault !== null) this.stream.fail(this.fault)
    return this.stream
  }

  /** True while more of the body is to come. */
  get unread(): boolean {
    return this.length !== 0 && !this.message.complete
  }

  /** True when what is left of the body is more than may be thrown away, so that no request can follow on the connection. */
  get unfinishable(): boolean {
    return this.unread && (this.length < 0 || this.length > this.#limit || this.fault !== null || this.stream?.failed === true)
  }

  /** Fails the body for whoever reads it, now or later. */
  break(fault: IopaError): void {
    this.fault ??= fault
    this.stream?.fail(fault)
  }
}
