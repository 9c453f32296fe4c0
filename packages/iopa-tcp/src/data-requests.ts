import { IopaError, type RequestSource } from '@iopa/transport'
import type { AnswerFormat } from './answer-writer.ts'
import type { FrameReceiver, RequestPorts } from './frame-receiver.ts'
import type { Framing } from './framing.ts'

/** Plain messages on the wire: the body of an answer is a frame. */
export const dataFormat = (framing: Framing): AnswerFormat => ({
  streams: framing.suffix === null && framing.prefix(0) === null,
  write({ payload, isStream }, _request, put) {
    // A body that the status leaves out is still a stream.
    if (payload === null || isStream) return
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : (payload as Uint8Array)
    if (bytes.length > framing.maxPayload) throw new IopaError(500, 'answer-too-large', `A frame holds at most ${framing.maxPayload} bytes.`)
    const prefix = framing.prefix(bytes.length)
    if (prefix !== null) put(prefix)
    if (bytes.length > 0) put(bytes)
    if (framing.suffix !== null) put(framing.suffix)
  }
})

/** The requests of a connection that carries plain messages: each frame is a DATA request. */
export class DataRequests implements FrameReceiver {
  readonly occupied = false
  readonly #ports: RequestPorts

  constructor(ports: RequestPorts) {
    this.#ports = ports
  }

  receive(frame: Uint8Array): void {
    const { host, endpoint, connection, answers } = this.#ports
    const source = new FrameSource(frame)
    const request = host.create({ method: 'DATA', path: '/', query: '', rawPath: '/', endpoint, source }, connection)
    if (answers.holds(request, frame.length)) answers.run(request, true)
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
