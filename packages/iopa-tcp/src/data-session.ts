import { IopaError, type RequestSource, type SealedAnswer } from '@iopa/transport'
import { Session } from './session.ts'

/** A session of plain messages: each frame is a DATA request, the body of its answer a frame. */
export class DataSession extends Session {
  protected get occupied(): boolean {
    return false
  }

  protected get streams(): boolean {
    return this.framing.suffix === null && this.framing.prefix(0) === null
  }

  protected receive(frame: Uint8Array): void {
    const source = new FrameSource(frame)
    const request = this.host.create({ method: 'DATA', path: '/', query: '', rawPath: '/', endpoint: this.endpoint, source }, this.connection)
    if (this.holds(request, frame.length)) this.run(request, true)
  }

  protected write(answer: SealedAnswer): void {
    const { payload } = answer
    // A body that the status leaves out is still a stream.
    if (payload === null || answer.isStream) return
    const { framing } = this
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : (payload as Uint8Array)
    if (bytes.length > framing.maxPayload) throw new IopaError(500, 'answer-too-large', `A frame holds at most ${framing.maxPayload} bytes.`)
    const prefix = framing.prefix(bytes.length)
    if (prefix !== null) this.put(prefix)
    if (bytes.length > 0) this.put(bytes)
    if (framing.suffix !== null) this.put(framing.suffix)
  }
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
