import type { Clock, DatagramChannel, DatagramReceiver } from '@iopa/transport'
import { decode, encode } from '../src/codec/datagram-codec.ts'
import { type Message, type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { Options } from '../src/codec/options.ts'

/** A clock whose hands a test turns. */
export class TurnedClock implements Clock {
  #now = 0
  #shift = 0
  #timers: { due: number; callback: () => void }[] = []

  now(): number {
    return this.#now + this.#shift
  }

  elapsed(): number {
    return this.#now
  }

  get timers(): number {
    return this.#timers.length
  }

  setTimeout(callback: () => void, milliseconds: number): unknown {
    const timer = { due: this.#now + milliseconds, callback }
    this.#timers.push(timer)
    return timer
  }

  clearTimeout(handle: unknown): void {
    this.#timers = this.#timers.filter(timer => timer !== handle)
  }

  /** Sets the time back, as a time server may; no time passes by it. */
  setBack(milliseconds: number): void {
    this.#shift -= milliseconds
  }

  /** Runs what becomes due within so many milliseconds, in order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds
    for (;;) {
      const next = this.#timers.filter(timer => timer.due <= end).sort((a, b) => a.due - b.due)[0]
      if (next === undefined) break
      this.clearTimeout(next)
      this.#now = Math.max(this.#now, next.due)
      next.callback()
    }
    this.#now = end
  }
}

/** A channel that a test plays the peer of. */
export class ScriptedChannel implements DatagramChannel {
  readonly localAddress: string = '127.0.0.1'
  readonly localPort: number = 5683
  readonly raw: unknown = null
  #receiver: DatagramReceiver | undefined
  sent: { bytes: Uint8Array; port: number; address: string }[] = []
  closed = false
  failure: Error | undefined

  open(receiver: DatagramReceiver): void {
    this.#receiver = receiver
  }

  send(bytes: Uint8Array, port: number, address: string): void {
    if (this.failure) throw this.failure
    this.sent.push({ bytes: bytes.slice(), port, address })
  }

  async close(): Promise<void> {
    this.closed = true
  }

  /** Delivers bytes as if a peer had sent them. */
  deliver(bytes: Uint8Array, port: number = 40_000, address: string = '127.0.0.1', toMulticast: boolean = false): void {
    this.#receiver?.message(bytes, address, port, toMulticast)
  }

  /** What was sent since the last look, read. */
  take(): ReceivedMessage[] {
    const messages = this.sent.map(({ bytes }) => decode(bytes) as ReceivedMessage)
    this.sent = []
    return messages
  }
}

/** A message from a few of its parts; confirmable, with token `aabb`, unless it says otherwise. */
export const message = (parts: Partial<Message> & { code: number }): Message => ({
  type: TYPE.CON,
  id: 1,
  token: Uint8Array.of(0xaa, 0xbb),
  options: new Options(),
  payload: new Uint8Array(0),
  ...parts
})

/** The bytes of such a message. */
export const datagram = (parts: Partial<Message> & { code: number }): Uint8Array => encode(message(parts))
