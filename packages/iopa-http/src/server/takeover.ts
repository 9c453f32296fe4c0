import { type ByteChannel, type Connection, type Context, IopaError, isIopaError, type SealedAnswer, type Upgradable } from '@iopa/transport'
import type { Admission } from './admission.ts'
import { RelayedChannel } from './relayed-channel.ts'
import type { HttpRequest } from './request.ts'
import type { ConnectionSettings } from './served-connection.ts'

/** What takes a connection; undefined for a request that is answered as any other (RFC 9110 section 7.8). */
export const takerOf = (
  { closing, upgrades }: ConnectionSettings,
  { fields, method, minor }: HttpRequest,
  context: Context
): Upgradable | undefined => {
  if (closing || !fields.upgrades || fields.length !== 0 || method !== 'GET' || minor === 0) return undefined
  return upgrades.find(fields.upgrade, context['iopa.Path'])
}

/** The answer with which a taker refuses; null where it takes the connection. */
export const refusalOf = (taker: Upgradable, context: Context, admission: Admission): SealedAnswer | null => {
  try {
    taker.admit?.(context)
    return null
  } catch (error) {
    return admission.refuse(isIopaError(error) ? error : new IopaError(500, 'internal-error'))
  }
}

/** A connection that another protocol has taken: what comes is its own, and the listener counts it until it closes. */
export class Takeover {
  readonly #channel: RelayedChannel
  /** The request that asked for it: behind a proxy it counts for its client. */
  readonly #request: HttpRequest

  constructor(channel: ByteChannel, counted: Connection, request: HttpRequest) {
    this.#channel = new RelayedChannel(channel)
    this.#request = request
    request.over = true
    // The taker has its own idea of idleness.
    counted.keepAlive(true)
  }

  begin(taker: Upgradable, context: Context, head: Uint8Array): void {
    // It may have been paused.
    this.#channel.resume()
    taker.take(context, this.#channel, head)
    void context.end('finish')
  }

  data(chunk: Uint8Array): void {
    this.#channel.relay(chunk)
  }

  /** The peer has ended its side: true, for that is the taker's matter. */
  ends(): boolean {
    this.#channel.relayEnd()
    return true
  }

  /** Everything written has left: true likewise. */
  drains(): boolean {
    this.#channel.relayDrain()
    return true
  }

  /** The connection is gone. */
  closes(error: Error | undefined, admission: Admission): void {
    this.#channel.relayClose(error)
    admission.leave(this.#request)
  }
}
