import type { OwnedContext } from '@iopa/context/host'
import type { ByteChannel } from '../channels/byte-channel.ts'
import type { Host, Subscription } from './host.ts'

/** Takes connections of HTTP listeners for another protocol (RFC 9110 section 7.8), such as WebSocket. */
export interface Upgradable {
  /** The token of the Upgrade field, in small letters, such as `websocket`. */
  readonly protocol: string
  /** The path, as `iopa.Path` has it. */
  readonly path: string
  /** An HTTP listener serves at this URL. May refuse to ride on it. @throws IopaError, with which `listen()` rejects. */
  listens?(url: URL): void
  /** Called first; what it throws is the answer to the request, and the connection stays HTTP. @throws IopaError. */
  admit?(request: OwnedContext): void
  /**
   * Takes the connection: writes the answer 101, and everything after it. `request` has been checked as any other request, and ends with the call.
   * `head` are bytes that the client has sent already behind the request; open `channel` at once. Limits, counting and drain of the connection are the
   * taker's from now on; the HTTP listener still counts it as its own until it closes. Must not throw.
   */
  take(request: OwnedContext, channel: ByteChannel, head: Uint8Array): void
}

/** What takes connections of the HTTP listeners of an app. */
export class Upgrades {
  readonly #taken = new Set<Upgradable>()
  readonly #urls = new Set<URL>()

  /** Takes connections until it is disposed. @throws what `listens` of the upgrade throws. */
  add(upgrade: Upgradable): Subscription {
    for (const url of this.#urls) upgrade.listens?.(url)
    this.#taken.add(upgrade)
    return { [Symbol.dispose]: () => this.#taken.delete(upgrade) }
  }

  /** An HTTP listener serves at `url` until this is disposed. @throws what `listens` of an upgrade throws. */
  serve(url: URL): Subscription {
    for (const upgrade of this.#taken) upgrade.listens?.(url)
    this.#urls.add(url)
    return { [Symbol.dispose]: () => this.#urls.delete(url) }
  }

  /** What takes the first of the protocols in an Upgrade field that is served at `path`; undefined where none is. */
  find(protocols: string, path: string): Upgradable | undefined {
    if (this.#taken.size === 0) return undefined
    for (const protocol of protocols.toLowerCase().split(',')) {
      const name = protocol.trim()
      for (const upgrade of this.#taken) if (upgrade.path === path && upgrade.protocol === name) return upgrade
    }
    return undefined
  }
}

/** The name of what `upgradesOf` keeps. */
const UPGRADES = 'iopa.upgrades'

/** The upgrades of an app. */
export const upgradesOf = (host: Pick<Host, 'shared'>): Upgrades => host.shared(UPGRADES, () => new Upgrades())
