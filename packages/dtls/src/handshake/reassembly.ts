import { MESSAGE_HEADER } from './message.ts'

/** A message that has arrived whole. */
export interface WholeMessage {
  readonly type: number
  readonly sequence: number
  readonly body: Uint8Array
}

/** A fragment of a message (RFC 6347 section 4.2.2). */
export interface Fragment {
  readonly type: number
  readonly sequence: number
  /** Bytes of the whole message. */
  readonly length: number
  readonly offset: number
  readonly bytes: Uint8Array
}

/** The fragments in the content of a handshake record; undefined where it is malformed. */
export const readFragments = (content: Uint8Array): readonly Fragment[] | undefined => {
  const fragments: Fragment[] = []
  const number24 = (at: number): number => (content[at]! << 16) | (content[at + 1]! << 8) | content[at + 2]!
  for (let at = 0; at < content.length; ) {
    const from = at + MESSAGE_HEADER
    if (from > content.length) return undefined
    const length = number24(at + 1)
    const offset = number24(at + 6)
    const end = from + number24(at + 9)
    if (end > content.length || offset + end - from > length) return undefined
    // An empty fragment of a message that has bytes adds nothing, and could be sent for ever.
    if (end === from && length > 0) return undefined
    fragments.push({ type: content[at]!, sequence: (content[at + 4]! << 8) | content[at + 5]!, length, offset, bytes: content.subarray(from, end) })
    at = end
  }
  return fragments
}

interface Partial {
  readonly type: number
  readonly body: Buffer
  /** 1 for each byte that has come. */
  readonly filled: Uint8Array
  missing: number
}

/** How far ahead of the next message others are kept. */
const AHEAD = 8

/**
 * Handshake messages out of their fragments, in order. Fragments may overlap, as those of retransmissions do (RFC 6347 section 4.2.3); one that contradicts
 * what came before is ignored: another type, another length, or other bytes at the same place.
 */
export class Reassembly {
  readonly #room: number
  readonly #messages = new Map<number, Partial>()
  #next: number
  #held = 0

  /** Bytes of messages that are kept at once, and the number of the first. */
  constructor(room: number, next: number) {
    this.#room = room
    this.#next = next
  }

  /** The number of the message that `take` gives next. */
  get next(): number {
    return this.#next
  }

  /** False for a fragment that is ignored. */
  add({ type, sequence, length, offset, bytes }: Fragment): boolean {
    if (sequence < this.#next || sequence >= this.#next + AHEAD) return false
    const known = this.#messages.get(sequence)
    const message = known ?? this.#begin(type, sequence, length)
    if (message === undefined || message.type !== type || message.body.length !== length) return false
    const { body, filled } = message
    for (const [index, byte] of bytes.entries()) if (filled[offset + index] === 1 && body[offset + index] !== byte) return false
    for (const [index, byte] of bytes.entries()) {
      const at = offset + index
      if (filled[at] === 1) continue
      filled[at] = 1
      body[at] = byte
      message.missing--
    }
    return true
  }

  #begin(type: number, sequence: number, length: number): Partial | undefined {
    if (this.#held + length > this.#room) return undefined
    this.#held += length
    const message: Partial = { type, body: Buffer.alloc(length), filled: new Uint8Array(length), missing: length }
    this.#messages.set(sequence, message)
    return message
  }

  /** Forgets what has come ahead of the next message: it was in the clear, and what follows is protected. */
  clear(): void {
    this.#messages.clear()
    this.#held = 0
  }

  /** The next message, once it is whole. */
  take(): WholeMessage | undefined {
    const message = this.#messages.get(this.#next)
    if (message === undefined || message.missing > 0) return undefined
    this.#messages.delete(this.#next)
    this.#held -= message.body.length
    return { type: message.type, sequence: this.#next++, body: message.body }
  }
}
