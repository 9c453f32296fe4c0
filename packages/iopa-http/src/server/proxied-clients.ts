import { IopaError, isLoopback } from '@iopa/transport'

/**
 * The clients behind trusted proxies, by their address. A proxy's connections are those of many clients, so what one
 * client may have is counted by its requests in work; each of them holds a connection of the proxy.
 */
export class ProxiedClients {
  readonly #limit: number
  readonly #refused: () => void
  readonly #requests = new Map<string, number>()

  /** A client may have `limit` requests in work, those that observe included; `refused` is called for each one beyond. */
  constructor(limit: number, refused: () => void) {
    this.#limit = limit
    this.#refused = refused
  }

  /** Counts a request in. @throws IopaError 503 over the limit; clients on loopback are not counted, as for connections. */
  enter(address: string): void {
    if (isLoopback(address)) return
    const requests = this.#requests.get(address) ?? 0
    if (requests >= this.#limit) {
      this.#refused()
      throw new IopaError(503, 'too-many-connections', 'This client has as many connections as it may have; close some of them.', {
        headers: { 'retry-after': '10' }
      })
    }
    this.#requests.set(address, requests + 1)
  }

  /** Counts a request out that was counted in. */
  leave(address: string): void {
    const requests = this.#requests.get(address) ?? 0
    if (requests > 1) this.#requests.set(address, requests - 1)
    else this.#requests.delete(address)
  }
}
