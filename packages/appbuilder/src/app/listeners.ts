import { IopaError, type Logger } from '@iopa/constants'
import type { Listener, Transport } from '@iopa/transport'
import type { ListenerHost } from './listener-host.ts'

interface Open {
  readonly transport: Transport
  readonly listener: Listener
  readonly host: ListenerHost
}

/** The listeners of one app: opened all together or not at all, and closed together. */
export class Listeners {
  readonly #hostFor: (transport: Transport) => ListenerHost
  readonly #logger: Logger
  #open: Open[] = []
  #opening: Promise<Listener[]> | null = null
  #closed = false

  constructor(hostFor: (transport: Transport) => ListenerHost, logger: Logger) {
    this.#hostFor = hostFor
    this.#logger = logger
  }

  /** Serves every transport. Rejects when one cannot bind; those that could are closed again. */
  async open(transports: readonly Transport[]): Promise<Listener[]> {
    this.#assertNotClosed()
    if (this.#opening !== null || this.#open.length > 0) throw new IopaError(500, 'already-listening', 'This app is listening already.')
    this.#opening = this.#bind(transports)
    try {
      return await this.#opening
    } finally {
      this.#opening = null
    }
  }

  async #bind(transports: readonly Transport[]): Promise<Listener[]> {
    try {
      for (const transport of transports) {
        const host = this.#hostFor(transport)
        try {
          this.#open.push({ transport, listener: await transport.listen(host), host })
        } catch (error) {
          await host.end('shutdown')
          throw error
        }
        // The app may have been closed while this one was being bound.
        this.#assertNotClosed()
      }
    } catch (error) {
      await Promise.allSettled(this.#open.map(({ listener }) => listener.close({ timeout: 0 })))
      await Promise.all(this.#open.map(({ host }) => host.end('shutdown')))
      this.#open = []
      throw error
    }
    return this.#open.map(({ listener }) => listener)
  }

  /** Stops accepting, finishes what is in work within `timeout` ms, then forces; nothing can be opened from then on. */
  async close(timeout: number): Promise<void> {
    this.#closed = true
    const results = await Promise.allSettled(this.#open.map(({ listener }) => listener.close({ timeout })))
    for (const result of results) if (result.status === 'rejected') this.#logger.error('iopa: a transport failed to close', result.reason)
  }

  /** Resolves when nothing is being opened, whether that succeeded or not. */
  async settled(): Promise<void> {
    await this.#opening?.catch(() => undefined)
  }

  /** Where a transport listens. */
  urls(transport: Transport): string[] {
    return this.#open.filter(item => item.transport === transport).flatMap(({ listener: { url, urls = [url] } }) => urls.map(({ href }) => href))
  }

  #assertNotClosed(): void {
    if (this.#closed) throw new IopaError(500, 'app-closed', 'This app has been closed; make a new one.')
  }
}
