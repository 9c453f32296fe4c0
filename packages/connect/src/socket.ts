import { EventEmitter } from 'node:events'
import type { Context } from '@iopa/appbuilder'
import { contextOf, type OwnedContext } from '@iopa/context/host'

/** What middleware may know of the connection. It gets no hold of the real socket: bytes written there would break the answers of others. */
export class RequestSocket extends EventEmitter {
  readonly #context: Context
  readonly #giveUp: () => void
  readonly readable = true

  /** `giveUp` is called when middleware destroys it. */
  constructor(context: Context, giveUp: () => void) {
    super()
    this.#context = context
    this.#giveUp = giveUp
  }

  get encrypted(): boolean {
    return this.#context['server.TLS']
  }
  get remoteAddress(): string {
    return this.#context['server.RemoteAddress']
  }
  get remotePort(): number {
    return this.#context['server.RemotePort']
  }
  get localAddress(): string {
    return this.#context['server.LocalAddress']
  }
  get localPort(): number {
    return this.#context['server.LocalPort']
  }
  get remoteFamily(): string {
    return this.remoteAddress.includes(':') ? 'IPv6' : 'IPv4'
  }
  get writable(): boolean {
    return !this.#context.ended
  }
  get destroyed(): boolean {
    return this.#context.ended
  }

  /** The certificate of the client, where TLS asked for one; an empty object otherwise, as in Node. */
  getPeerCertificate(): unknown {
    return this.#context['ssl.ClientCertificate'] ?? {}
  }

  /** Gives the request up. */
  destroy(): this {
    this.#giveUp()
    void (contextOf(this.#context) as OwnedContext).end('reset')
    return this
  }

  // The limits of the listener decide how long a connection lasts.
  setTimeout(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
}
