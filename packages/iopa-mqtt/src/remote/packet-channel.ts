import { type ByteChannel, type Clock, Outbox, type TimerHandle } from '@iopa/transport'
import { PINGREQ } from '../codec/client-encoder.ts'
import { FrameGuard } from '../codec/frame-guard.ts'
import { decodeServerPacket, type ServerPacket } from '../codec/server-decoder.ts'

/** What a `PacketChannel` reports to its owner. */
export interface PacketReceiver {
  /** A packet of the server. Nothing more is read until the promise settles, if it gives one. @throws ProtocolError */
  packet(packet: ServerPacket): void | Promise<void>
  /** A packet breaks the protocol (a ProtocolError), or nothing comes any more: the owner ends the connection. */
  broken(error: Error): void
  /** Last call, with the error of the socket, if any. */
  closed(error: Error | null): void
}

/** MQTT packets over a channel of bytes, as a client reads and writes them. */
export class PacketChannel {
  readonly #channel: ByteChannel
  readonly #outbox: Outbox
  readonly #frames: FrameGuard
  readonly #receiver: PacketReceiver
  #closed = false
  #keepAlive: (() => void) | null = null
  #pingUnanswered = false

  /** `version` is 4 or 5; a packet of more than `maximumPacketSize` bytes ends the connection. */
  constructor(channel: ByteChannel, version: number, maximumPacketSize: number, receiver: PacketReceiver) {
    this.#channel = channel
    this.#receiver = receiver
    // The publisher bounds what is on its way, in number.
    this.#outbox = new Outbox(channel, { queueBytes: Number.POSITIVE_INFINITY })
    this.#frames = new FrameGuard(maximumPacketSize, (bytes, start, body, end) => {
      this.#pingUnanswered = false
      const pause = receiver.packet(decodeServerPacket(bytes, start, body, end, version))
      if (pause === undefined) return !this.#frames.stopped
      channel.pause()
      void pause.then(() => this.#resume())
      return false
    })
    channel.open({
      data: chunk => this.#read(() => this.#frames.push(chunk)),
      end: () => channel.destroy(),
      drain: () => this.#outbox.onDrain(),
      close: error => {
        this.#closed = true
        this.#keepAlive?.()
        this.#frames.close()
        this.#outbox.onClose()
        receiver.closed(error ?? null)
      }
    })
  }

  /** Writes a packet; those of one turn of the event loop leave together. */
  write(packet: Uint8Array): void {
    this.#outbox.write(packet)
  }

  /** Resolves when the socket takes more, or the connection is gone. */
  drained(): Promise<void> {
    this.#outbox.flush()
    return this.#outbox.drained()
  }

  /**
   * Sends a PINGREQ in each interval of so many milliseconds (0 for none), and reports a connection on which nothing has come since the one
   * before (MQTT 5 section 3.1.2.10).
   */
  keepAlive(interval: number, clock: Clock): void {
    if (interval === 0 || this.#closed) return
    const timer: TimerHandle = clock.setTimeout(() => {
      // While we do not read, nothing can come.
      if (this.#pingUnanswered && !this.#frames.stopped) this.#receiver.broken(new Error('the broker does not answer'))
      else {
        this.#pingUnanswered = true
        this.write(PINGREQ)
        this.keepAlive(interval, clock)
      }
    }, interval)
    this.#keepAlive = () => clock.clearTimeout(timer)
  }

  /** Reads nothing more, and ends the connection when everything written has left. */
  end(): void {
    this.#frames.close()
    this.#outbox.flush()
    this.#channel.end()
    // What still comes has to be read, for its end to be seen.
    this.#channel.resume()
  }

  /** Drops the connection. */
  destroy(): void {
    this.#frames.close()
    this.#outbox.flush()
    this.#channel.destroy()
  }

  #resume(): void {
    if (this.#closed) return
    this.#read(() => this.#frames.resume())
    if (!this.#frames.stopped) this.#channel.resume()
  }

  #read(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#receiver.broken(error as Error)
    }
  }
}
