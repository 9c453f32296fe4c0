import type { ByteChannel, Clock, Connection, Limits } from '@iopa/transport'
import { RelayedChannel } from '../server/relayed-channel.ts'
import type { ServedConnection } from '../server/served-connection.ts'

/** What a client of HTTP/2 begins with (RFC 9113 section 3.4). */
const PREFACE: Uint8Array = new TextEncoder().encode('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** A channel whose first bytes say which protocol it carries. */
export class PeekedChannel extends RelayedChannel {
  readonly #decided: (isHttp2: boolean) => void
  /** Bytes of the preface that have come. */
  #matched = 0
  #gone: (() => void) | null = null

  /** `decided` is called once it is known; it opens this channel. */
  constructor(channel: ByteChannel, decided: (isHttp2: boolean) => void) {
    super(channel)
    this.#decided = decided
    channel.open({
      data: chunk => {
        this.relay(chunk)
        if (!this.opened) this.#look(chunk)
      },
      end: () => {
        if (!this.opened) this.#decided(false)
        this.relayEnd()
      },
      drain: () => this.relayDrain(),
      close: error => {
        if (this.opened) this.relayClose(error)
        else this.#gone?.()
      }
    })
  }

  /** What serves the connection until it is known which protocol it carries: it has the time of a head. */
  waiting(clock: Clock, { headerTimeout }: Limits, counted: Connection, closed: () => void): ServedConnection {
    const since = clock.elapsed()
    this.#gone = () => {
      counted.remove()
      closed()
    }
    return {
      finish: () => this.destroy(),
      endEvents: () => undefined,
      sweep: now => {
        if (now - since >= headerTimeout) this.destroy()
      }
    }
  }

  #look(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length && this.#matched < PREFACE.length; at++) {
      if (chunk[at] !== PREFACE[this.#matched]) {
        this.#decided(false)
        return
      }
      this.#matched++
    }
    if (this.#matched === PREFACE.length) this.#decided(true)
  }
}
