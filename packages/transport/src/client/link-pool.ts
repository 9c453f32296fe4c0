import type { Clock, TimerHandle } from '../contract/clock.ts'
import type { Link } from '../contract/link.ts'

/** A link of a pool, and what it carries. */
export interface PooledLink {
  readonly link: Link
  /** Requests and subscriptions under way. */
  used: number
  /** True once it has ended. */
  gone: boolean
  idle: TimerHandle | null
}

interface Waiter {
  resolve(entry: PooledLink): void
  reject(error: unknown): void
}

/** What a pool is made of. */
export interface LinkPoolInit {
  /** Opens a link; it ends with `signal`. */
  open(signal: AbortSignal): Promise<Link>
  readonly clock: Clock
  /** Most links, where one carries a bounded number of requests. */
  readonly maxLinks: number
  /** Milliseconds after which such a link is closed that carries nothing. */
  readonly idleTimeout: number
}

/** The links of one client: one where it carries any number of requests, else as many as are needed, up to a bound. */
export class LinkPool {
  readonly #init: LinkPoolInit
  /** The last used at the end. */
  readonly #entries: PooledLink[] = []
  readonly #waiting: Waiter[] = []
  readonly #opening = new Set<AbortController>()
  /** Of the link that was opened last. */
  #concurrency = Number.POSITIVE_INFINITY
  #closed = false

  constructor(init: LinkPoolInit) {
    this.#init = init
  }

  /** Takes in a link that was opened elsewhere. */
  add(link: Link): void {
    const entry: PooledLink = { link, used: 0, gone: false, idle: null }
    this.#concurrency = link.concurrency
    this.#entries.push(entry)
    void link.closed.then(() => this.#remove(entry))
    this.#serve()
    this.#rest(entry)
  }

  /** A link with room, whose use `release` ends; undefined where there is none now. */
  take(): PooledLink | undefined {
    for (let at = this.#entries.length - 1; at >= 0; at--) {
      const entry = this.#entries[at] as PooledLink
      if (entry.used < entry.link.concurrency) return this.#use(entry)
    }
    return undefined
  }

  /** A link with room, as soon as there is one: it is opened where the pool may. Rejects where that fails, and with the reason of the signal. */
  async acquire(signal: AbortSignal): Promise<PooledLink> {
    signal.throwIfAborted()
    const free = this.#waiting.length === 0 ? this.take() : undefined
    if (free !== undefined) return free
    let abort = (): void => undefined
    try {
      return await new Promise<PooledLink>((resolve, reject) => {
        const waiter: Waiter = { resolve, reject }
        abort = () => {
          const at = this.#waiting.indexOf(waiter)
          if (at >= 0) this.#waiting.splice(at, 1)
          reject(signal.reason)
          this.#giveUpOpening()
        }
        signal.addEventListener('abort', abort, { once: true })
        this.#waiting.push(waiter)
        this.#openWanted()
      })
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** The link carries one thing less. */
  release(entry: PooledLink): void {
    entry.used--
    if (entry.gone) return
    // It cannot be used again.
    if (entry.link.idleTimeout === 0) this.#leave(entry)
    else {
      this.#serve()
      this.#rest(entry)
    }
  }

  /** Closes all links. Nothing waits then: the signals of those that waited have aborted. */
  async close(): Promise<void> {
    this.#closed = true
    for (const opening of this.#opening) opening.abort()
    await Promise.all(this.#entries.map(({ link }) => link.close()))
  }

  #use(entry: PooledLink): PooledLink {
    entry.used++
    if (entry.idle !== null) this.#init.clock.clearTimeout(entry.idle)
    entry.idle = null
    // The link that was used last is used next: those that are not needed become idle.
    const at = this.#entries.length - 1
    if (this.#entries[at] !== entry) {
      this.#entries.splice(this.#entries.indexOf(entry), 1)
      this.#entries.push(entry)
    }
    return entry
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const entry = this.take()
      if (entry === undefined) break
      this.#waiting.shift()?.resolve(entry)
    }
    this.#openWanted()
  }

  /** Opens as many links as what waits needs, and the pool may have. */
  #openWanted(): void {
    const most = this.#shared ? 1 : this.#init.maxLinks
    while (!this.#closed && this.#needed(this.#opening.size) && this.#entries.length + this.#opening.size < most) void this.#open()
  }

  /** True where more waits than so many links to come carry. */
  #needed(links: number): boolean {
    return this.#waiting.length > (links === 0 ? 0 : links * this.#concurrency)
  }

  /** True where one link carries everything. */
  get #shared(): boolean {
    return this.#concurrency === Number.POSITIVE_INFINITY
  }

  async #open(): Promise<void> {
    const opening = new AbortController()
    this.#opening.add(opening)
    try {
      const link = await this.#init.open(opening.signal)
      if (!this.#opening.delete(opening) || this.#closed) void link.close()
      else this.add(link)
    } catch (error) {
      // If opening was aborted, waiting requests use another link.
      if (!this.#opening.delete(opening)) return
      // One link would have served all; of several, one request has lost its own.
      for (const { reject } of this.#waiting.splice(0, this.#shared ? this.#waiting.length : 1)) reject(error)
      this.#openWanted()
    }
  }

  /** Ends attempts to connect that nothing waits for any more. */
  #giveUpOpening(): void {
    for (const opening of this.#opening) {
      if (this.#needed(this.#opening.size - 1)) return
      this.#opening.delete(opening)
      opening.abort()
    }
  }

  #remove(entry: PooledLink): void {
    entry.gone = true
    if (entry.idle !== null) this.#init.clock.clearTimeout(entry.idle)
    const at = this.#entries.indexOf(entry)
    if (at >= 0) this.#entries.splice(at, 1)
    this.#openWanted()
  }

  /** Closes a link that stays idle. */
  #rest(entry: PooledLink): void {
    if (entry.used > 0 || this.#shared) return
    const time = Math.min(this.#init.idleTimeout, entry.link.idleTimeout ?? Number.POSITIVE_INFINITY)
    if (time <= 0) this.#leave(entry)
    else if (Number.isFinite(time)) entry.idle = this.#init.clock.setTimeout(() => this.#leave(entry), time)
  }

  #leave(entry: PooledLink): void {
    this.#remove(entry)
    void entry.link.close()
  }
}
