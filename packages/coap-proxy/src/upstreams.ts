import { IopaError, isIopaError } from '@iopa/appbuilder'
import type { Client, Clock, TimerHandle } from '@iopa/transport'
import { withinTime } from '@iopa/transport/host'
import { isOwnListener, isSpecial } from './addresses.ts'
import type { CoapProxySettings } from './options.ts'
import { Shares } from './shares.ts'
import type { Target } from './targets.ts'

/** A connection to a target, pinned to the address that its name had when it was opened. */
class Upstream {
  readonly client: Promise<Client>
  uses = 0
  /** Whose share it takes while it is in use. */
  account = ''
  idle: TimerHandle | undefined

  constructor(client: Promise<Client>) {
    this.client = client
  }
}

/** What the connections need of their proxy. */
export interface UpstreamsInit
  extends Pick<CoapProxySettings, 'client' | 'connections' | 'idleTimeout' | 'timeout' | 'lookup' | 'targets' | 'networks'> {
  readonly clock: Clock
  /** The URLs at which the app listens. */
  listeners(): Iterable<string>
}

/** The connections to targets: one for each, opened when it is needed and closed when it is idle. */
export class Upstreams {
  readonly #init: UpstreamsInit
  readonly #byKey = new Map<string, Upstream>()
  readonly #shares: Shares
  #closed = false

  constructor(init: UpstreamsInit) {
    this.#init = init
    this.#shares = new Shares(init.connections)
  }

  get size(): number {
    return this.#byKey.size
  }

  /**
   * Runs `work` for an account with the client of a target; `hold` keeps the connection in use beyond that, until what it gives is called.
   * @throws IopaError 502 where it cannot be reached, 503 where there are too many
   */
  async use<T>(target: Target, account: string, work: (client: Client, hold: () => () => void) => Promise<T>): Promise<T> {
    const known = this.#byKey.get(target.key)
    if ((known === undefined || known.uses === 0) && !this.#shares.hasPlace(account)) throw busy()
    const upstream = this.#find(target)
    if (upstream.uses === 0) {
      upstream.account = account
      this.#shares.take(account)
    }
    const hold = (): (() => void) => {
      let held = true
      upstream.uses++
      return () => {
        if (!held) return
        held = false
        if (--upstream.uses > 0) return
        this.#shares.give(upstream.account)
        this.#rest(target.key, upstream)
      }
    }
    const release = hold()
    try {
      return await work(await upstream.client, hold)
    } finally {
      release()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#byKey].map(([key, upstream]) => this.#drop(key, upstream)))
  }

  #find(target: Target): Upstream {
    const { clock, connections } = this.#init
    const known = this.#byKey.get(target.key)
    if (known !== undefined) {
      if (known.idle !== undefined) clock.clearTimeout(known.idle)
      known.idle = undefined
      return known
    }
    if (this.#closed) throw new IopaError(503, 'proxy-busy', 'This proxy closes.')
    if (this.#byKey.size >= connections) this.#makeRoom()
    const upstream = new Upstream(this.#open(target))
    this.#byKey.set(target.key, upstream)
    // What could not be opened is tried again by the next request.
    upstream.client.catch(() => this.#forget(target.key, upstream))
    return upstream
  }

  async #open(target: Target): Promise<Client> {
    const { client, timeout } = this.#init
    const { scheme, host, port, literal } = target
    const address = literal ? host : await addressFor(host, this.#init)
    if (!this.#mayReach(target, address))
      throw new IopaError(
        403,
        'target-not-allowed',
        'The name of this target leads to this machine or to a network that targets must name by address.'
      )
    const authority = address.includes(':') ? `[${address}]` : address
    return client.connect(`${scheme}://${authority}:${port}`, timeout === undefined ? {} : { timeout })
  }

  /** RFC 7252 section 11.2: a name or a range must not lead a request around what guards this machine and its networks. */
  #mayReach(target: Target, address: string): boolean {
    const { targets, networks, listeners } = this.#init
    if (target.literal && targets.names(target)) return true
    if (!target.literal && (networks === undefined ? isSpecial(address) : !networks.has(address))) return false
    return !isOwnListener(address, target.port, listeners())
  }

  #makeRoom(): void {
    for (const [key, upstream] of this.#byKey) {
      if (upstream.uses > 0) continue
      void this.#drop(key, upstream)
      return
    }
    throw busy()
  }

  #rest(key: string, upstream: Upstream): void {
    if (this.#byKey.get(key) !== upstream) return
    const { clock, idleTimeout } = this.#init
    upstream.idle = clock.setTimeout(() => void this.#drop(key, upstream), idleTimeout)
  }

  async #drop(key: string, upstream: Upstream): Promise<void> {
    this.#forget(key, upstream)
    try {
      await (await upstream.client).close()
    } catch {
      // It was never open.
    }
  }

  #forget(key: string, upstream: Upstream): void {
    if (upstream.idle !== undefined) this.#init.clock.clearTimeout(upstream.idle)
    upstream.idle = undefined
    if (this.#byKey.get(key) === upstream) this.#byKey.delete(key)
  }
}

const busy = (): IopaError => new IopaError(503, 'proxy-busy', 'This proxy has connections to as many servers as it may; try again later.')

/** Milliseconds to find an address, unless `timeout` says so. */
const LOOKUP_TIME = 30_000

const addressFor = async (host: string, { lookup, clock, timeout = LOOKUP_TIME }: UpstreamsInit): Promise<string> => {
  try {
    // Every request for the name waits for this.
    const found = lookup(host)
    if (!(await withinTime(clock, timeout, found))) throw new IopaError(504, 'timeout', 'The name of this target was not found in time.')
    return await found
  } catch (cause) {
    if (isIopaError(cause)) throw cause
    throw new IopaError(502, 'upstream-failed', 'The name of this target has no address.', { cause })
  }
}
