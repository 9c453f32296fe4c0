import { bodyTooLarge, type Context, type EndReason, IopaError } from '@iopa/transport'
import { readBlock } from '../codec/block.ts'
import type { Exchange, Remote } from '../exchanges/exchange.ts'
import { StreamedBody } from '../exchanges/streamed-body.ts'
import type { UploadEnd, UploadSink } from '../exchanges/upload.ts'
import type { CoapRequest, RequestUpload } from './request.ts'

/** What the run of an upload needs of the server. */
export interface UploadPorts<R extends Remote> {
  /** Asks for the next block (2.31). */
  proceed(exchange: Exchange<R>, num: number, szx: number): void
  /** Answers the last block, or the one that the upload ends with, and ends the context. */
  answer(exchange: Exchange<R>, request: CoapRequest, context: Context): void
  /** Answers 5.03. */
  busy(exchange: Exchange<R>): void
  /** Stops the deadline of the run while the next block is awaited. */
  awaitsPeer(context: Context, awaits: boolean): void
  /** The block that was taken in last is not held any more. */
  taken(): void
  /** Upload and run are over. */
  finish(): void
}

const incomplete = (detail: string): IopaError => new IopaError(400, 'incomplete-request', detail)

/** Why a body ends early: for its handler, and for the scope of its request. */
const ENDS: Readonly<Record<UploadEnd, { readonly reason: EndReason; error(limit: number): IopaError }>> = {
  restarted: { reason: 'reset', error: () => incomplete('The client has begun to send this body again.') },
  expired: { reason: 'timeout', error: () => incomplete('The next block of the body has not come in time.') },
  crowded: { reason: 'reset', error: () => incomplete('The server needs the place of this body for another one.') },
  'too-large': { reason: 'reset', error: bodyTooLarge },
  disconnected: { reason: 'disconnect', error: () => incomplete('The peer has left within the body.') },
  shutdown: { reason: 'shutdown', error: () => incomplete('The server is shutting down.') }
}

/** A block that has no response yet. */
interface PendingBlock<R extends Remote> {
  readonly exchange: Exchange<R>
  readonly request: CoapRequest
}

/**
 * The run of a request whose body is read while it arrives. Each block is a request with a response of its own (RFC 7959 section 2.3): 2.31 when the
 * handler has taken it, and the answer of the handler for the last one, or for any at which the handler has failed.
 */
export class UploadRun<R extends Remote> implements UploadSink, RequestUpload {
  readonly body: StreamedBody = new StreamedBody(() => this.#room())
  readonly #ports: UploadPorts<R>
  readonly #limit: number
  #context: Context | undefined
  #pending: PendingBlock<R> | undefined
  #last = false
  #done = false
  #over = false

  /** `limit` is the most bytes that the body may have. */
  constructor(ports: UploadPorts<R>, limit: number) {
    this.#ports = ports
    this.#limit = limit
  }

  begin(context: Context, run: (done: () => void) => void): void {
    this.#context = context
    run(() => this.#settled())
  }

  cancel(): void {
    if (this.#over) return
    this.#ports.finish()
    this.abandon('disconnected')
  }

  /** Takes a block; without a piece it is the newest one once more, under another message id. */
  take(exchange: Exchange<R>, request: CoapRequest, piece: Uint8Array | undefined, last: boolean): void {
    this.#pending?.exchange.suppress()
    this.#pending = { exchange, request }
    if (last) this.#last = true
    if (this.#context !== undefined) this.#ports.awaitsPeer(this.#context, false)
    if (this.#done && this.#isFinal) this.#answer()
    else if (piece !== undefined) this.body.offer(piece, last)
    else if (!this.body.full && !this.#last) this.#room()
  }

  /** The handler has answered, perhaps before the body is complete. */
  #settled(): void {
    this.#done = true
    if (this.#over) {
      this.#ports.finish()
      void this.#context?.end()
    } else if (!this.#isFinal) this.body.discard()
    else if (this.#pending !== undefined) this.#answer()
  }

  abandon(why: UploadEnd): void {
    if (this.#over) return
    this.#over = true
    const pending = this.#pending
    this.#pending = undefined
    if (pending !== undefined)
      if (why === 'restarted' || why === 'disconnected' || why === 'too-large') pending.exchange.suppress()
      else this.#ports.busy(pending.exchange)
    const { reason, error } = ENDS[why]
    this.body.fail(error(this.#limit))
    if (this.#done) this.#ports.finish()
    void this.#context?.end(reason)
  }

  /** An error is sent at once, so that nothing more is uploaded; a success waits for the last block: to clients, one in between means that they go on. */
  get #isFinal(): boolean {
    return this.#last || this.#context?.response.ok !== true
  }

  /** The handler has taken what came: the client may go on. */
  #room(): void {
    this.#ports.taken()
    const pending = this.#pending
    if (pending === undefined) return
    this.#pending = undefined
    const { num, szx } = readBlock(pending.request.block1)
    if (this.#context !== undefined) this.#ports.awaitsPeer(this.#context, true)
    this.#ports.proceed(pending.exchange, num, szx)
  }

  #answer(): void {
    const { exchange, request } = this.#pending as PendingBlock<R>
    this.#pending = undefined
    this.#over = true
    this.#ports.finish()
    this.#ports.answer(exchange, request, this.#context as Context)
  }
}
