import { type Context, type Endpoint, type Host, IopaError, type RequestSource } from '@iopa/transport'
import type { AnswerFormat, AnswerWriter } from './answer-writer.ts'
import type { FrameReceiver, RequestPorts } from './frame-receiver.ts'
import type { Framing } from './framing.ts'

/** Plain messages on the wire: the body of an answer is a frame. */
export const dataFormat = (framing: Framing): AnswerFormat => ({
  streams: framing.suffix === null && framing.prefix(0) === null,
  write(answer, _request, out) {
    const { payload } = answer
    // A body that the status leaves out is still a stream.
    if (payload === null || answer.isStream) return
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : (payload as Uint8Array)
    if (bytes.length > framing.maxPayload) throw new IopaError(500, 'answer-too-large', `A frame holds at most ${framing.maxPayload} bytes.`)
    const prefix = framing.prefix(bytes.length)
    if (prefix !== null) out.put(prefix)
    if (bytes.length > 0) out.put(bytes)
    if (framing.suffix !== null) out.put(framing.suffix)
  }
})

/** The requests of a connection that carries plain messages: each frame is a DATA request. */
export class DataRequests implements FrameReceiver {
  readonly occupied = false
  readonly #host: Host
  readonly #endpoint: Endpoint
  readonly #connection: Context
  readonly #answers: AnswerWriter

  constructor({ host, endpoint, connection, answers }: RequestPorts) {
    this.#host = host
    this.#endpoint = endpoint
    this.#connection = connection
    this.#answers = answers
  }

  receive(frame: Uint8Array): void {
    const source = new FrameSource(frame)
    const init = { method: 'DATA', path: '/', query: '', rawPath: '/', endpoint: this.#endpoint, source }
    const request = this.#host.create(init, this.#connection)
    if (this.#answers.holds(request, frame.length)) this.#answers.run(request, true)
  }

  /** A plain message has no place for an error without a request. */
  userEnded(): void {}
}

/** The bytes of one frame as a body. */
class FrameSource implements RequestSource {
  readonly #frame: Uint8Array

  constructor(frame: Uint8Array) {
    this.#frame = frame
  }

  body(): Uint8Array {
    return this.#frame
  }
}
