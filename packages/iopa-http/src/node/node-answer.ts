import type { ServerResponse } from 'node:http'
import { type Context, type Host, IopaError, nextChunk, type SealedAnswer, silenceLimit } from '@iopa/transport'
import { lackingEventFields } from '../events/event-stream.ts'
import { fieldsOf, isBodyless, sizeOf, statedLength } from '../message/answer-fields.ts'
import { answerTo } from '../message/refusal.ts'

/** Writes one answer to a response of a Node server. */
export class NodeAnswer {
  readonly #response: ServerResponse
  readonly #host: Host
  #drained: (() => void) | null = null

  constructor(response: ServerResponse, host: Host) {
    this.#response = response
    this.#host = host
  }

  /** True once nothing can be written any more. */
  get over(): boolean {
    return this.#response.writableEnded || this.#response.destroyed
  }

  /** Writes the answer to the request of a context; one that cannot be written is a logged 500. */
  sendFor(context: Context, answer: SealedAnswer): void {
    if (this.over) return
    try {
      this.send(answer, context.requestedMethod === 'HEAD', context)
    } catch (error) {
      context['server.Logger'].error(`iopa: the answer to ${context} could not be written`, error)
      this.fail()
    }
  }

  /** Nothing more of the answer follows: another one where nothing has left, else the connection is cut. */
  fail(): void {
    if (this.#response.headersSent) this.#response.destroy()
    else {
      for (const name of this.#response.getHeaderNames()) this.#response.removeHeader(name)
      this.send(answerTo(new IopaError(500, 'internal-error')), false)
    }
  }

  /** Writes a sealed answer. @throws for a field that HTTP cannot carry. */
  send(answer: SealedAnswer, isHead: boolean, context?: Context): void {
    const { payload, status } = answer
    const stream = answer.isStream ? (payload as AsyncIterable<Uint8Array>) : null
    const empty = isHead || payload === null || isBodyless(status) || status === 205
    const length = stream === null ? null : (sizeOf(stream) ?? statedLength(answer))
    const bytes = stream === null ? answer.payloadBytes.length : length
    const fields = [...fieldsOf(answer), ...(stream === null ? [] : lackingEventFields(answer))]
    if (bytes !== null && !isBodyless(status)) fields.push('content-length', String(bytes))
    this.begin(status, answer.reason, fields)
    if (stream !== null && !empty && context !== undefined) {
      void this.#stream(context, stream)
      return
    }
    if (stream !== null) void stream[Symbol.asyncIterator]().return?.()
    this.#response.end(empty ? undefined : payload)
  }

  /** Writes the head: its fields take the place of those of the server around, but cookies are added. */
  begin(status: number, reason: string, fields: readonly string[]): void {
    const response = this.#response
    const values = new Map<string, string[]>()
    for (let at = 0; at < fields.length; at += 2) {
      const name = (fields[at] as string).toLowerCase()
      const known = values.get(name)
      if (known === undefined) values.set(name, [fields[at + 1] as string])
      else known.push(fields[at + 1] as string)
    }
    for (const [name, all] of values) {
      if (name === 'set-cookie') response.appendHeader(name, all)
      else response.setHeader(name, all.length === 1 ? (all[0] as string) : all)
    }
    response.statusCode = status
    // HTTP/2 has no reason phrase.
    if (response.req.httpVersionMajor === 1) response.statusMessage = reason
  }

  /** Writes a piece; false when the writer should wait for `drained`. */
  write(chunk: string | Uint8Array): boolean {
    return this.over || this.#response.write(chunk)
  }

  end(): void {
    if (!this.over) this.#response.end()
  }

  destroy(): void {
    this.#response.destroy()
  }

  /** Resolves when the peer reads again, or has gone; a peer that reads nothing for the idle limit is cut off. */
  drained(): Promise<void> {
    const { clock, limits } = this.#host
    const response = this.#response
    if (response.destroyed || !response.writableNeedDrain) return Promise.resolve()
    if (this.#drained === null) {
      const wake = (): void => this.#drained?.()
      this.#drained = wake
      response.on('drain', wake).on('close', wake)
    }
    return new Promise(resolve => {
      const timer = clock.setTimeout(() => response.destroy(), limits.idleTimeout)
      this.#drained = () => {
        clock.clearTimeout(timer)
        resolve()
      }
    })
  }

  /** A streamed body, read only as fast as the client takes it. */
  async #stream(context: Context, body: AsyncIterable<Uint8Array>): Promise<void> {
    const { limits, clock } = this.#host
    const iterator = body[Symbol.asyncIterator]()
    const limit = silenceLimit(context.response.type, limits.idleTimeout)
    context.defer(() => iterator.return?.())
    try {
      for (;;) {
        const { done, value } = await nextChunk(iterator, limit, clock)
        if (this.over) return
        if (done === true) break
        if (!this.write(value)) await this.drained()
      }
      // A body that was given up with its request must not look like a whole one.
      if (context.ended) this.destroy()
      else this.end()
    } catch (error) {
      context['server.Logger'].error(`iopa: the body of ${context} could not be read`, error)
      this.destroy()
    }
  }
}
