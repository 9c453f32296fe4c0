import type { FrameReader } from '../framing.ts'
import { DRAINING, EVENTS, type Event, READ_OUT, READING, REFUSED, refusal, STOPPED, type State, TRANSITIONS } from './transitions.ts'

/**
 * The receiving side of one connection without input and output: bytes go in, frames come out, and the state says
 * whether more may come. What may happen when is in `transitions.ts`.
 */
export class TcpMachine {
  state: State = READING
  /** Frames that have come so far. */
  frames = 0
  readonly #reader: FrameReader
  readonly #chunks: Uint8Array[] = []

  /** `reader` cuts the bytes into frames. */
  constructor(reader: FrameReader) {
    this.#reader = reader
  }

  /** True when the event may happen now. */
  may(event: Event): boolean {
    return TRANSITIONS[this.state * EVENTS + event] !== REFUSED
  }

  /** Something has happened. @throws Error when it must not happen now: a fault of this package. */
  step(event: Event): void {
    const next = TRANSITIONS[this.state * EVENTS + event] as number
    if (next === REFUSED) throw refusal(this.state, event)
    this.state = next as State
    if (next >= STOPPED) this.#chunks.length = 0
  }

  /** Bytes held of a frame that is not complete. */
  get pending(): number {
    return this.#reader.pending
  }

  /** Bytes of memory that these take. */
  get room(): number {
    return this.#reader.room ?? this.#reader.pending
  }

  /** True when everything that has come is read. */
  get empty(): boolean {
    return this.#chunks.length === 0
  }

  /** Takes bytes in, to be read by `next`. */
  receive(chunk: Uint8Array): void {
    if (this.state < STOPPED) this.#chunks.push(chunk)
  }

  /** The next frame, or null if more bytes are needed or none will arrive. @throws IopaError for an invalid frame. */
  next(): Uint8Array | null {
    if (this.state >= STOPPED) return null
    for (;;) {
      const frame = this.#reader.next()
      if (frame !== null) {
        this.frames++
        return frame
      }
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) this.#reader.push(chunk)
      else if (this.state === DRAINING) {
        this.step(READ_OUT)
        return this.#reader.end()
      } else return null
    }
  }
}
