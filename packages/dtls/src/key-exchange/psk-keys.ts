import type { Clock } from '@iopa/transport'
import type { PskLookup } from '../options.ts'

/** Milliseconds that a look-up may take. */
const LOOKUP_TIME = 5000
/** Look-ups that run at once; others wait for their turn, within their own time. */
const MOST_LOOKUPS = 64
/** Bytes of an identity (RFC 4279 section 5.3 asks for 128) and of a key. */
const LONGEST_IDENTITY = 128
export const LONGEST_KEY = 256

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of an identity; undefined for one that is empty, too long, not UTF-8, or contains NUL. */
export const readIdentity = (bytes: Uint8Array): string | undefined => {
  if (bytes.length === 0 || bytes.length > LONGEST_IDENTITY || bytes.includes(0)) return undefined
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

type Key = Uint8Array | undefined

const asKey = (key: unknown): Key => (key instanceof Uint8Array && key.length > 0 && key.length <= LONGEST_KEY ? key : undefined)
const isPromise = (value: unknown): value is PromiseLike<Key> => typeof (value as PromiseLike<Key> | undefined)?.then === 'function'

/** Pre-shared keys by identity, from a table or a look-up. A look-up that fails, or that takes too long, finds nothing. */
export class PskKeys {
  /** True for a look-up; a table stays as it is. */
  readonly mayChange: boolean
  readonly #find: PskLookup
  readonly #clock: Clock
  /** Starts of the look-ups that wait. */
  readonly #waiting = new Set<() => void>()
  #running = 0

  constructor(psk: Readonly<Record<string, Uint8Array>> | PskLookup, clock: Clock) {
    const table = typeof psk === 'function' ? undefined : new Map(Object.entries(psk))
    this.#find = typeof psk === 'function' ? psk : identity => table?.get(identity)
    this.#clock = clock
    this.mayChange = typeof psk === 'function'
  }

  /** The key of an identity, at once or later; never rejects. `signal` ends the look-up. */
  find(identity: string, signal: AbortSignal): Key | Promise<Key> {
    const abort = new AbortController()
    if (this.#running >= MOST_LOOKUPS) return this.#later(identity, signal, abort)
    try {
      const found = this.#find(identity, abort.signal)
      return isPromise(found) ? this.#later(identity, signal, abort, found) : asKey(found)
    } catch {
      return undefined
    }
  }

  #later(identity: string, signal: AbortSignal, abort: AbortController, begun?: PromiseLike<Key>): Promise<Key> {
    return new Promise(resolve => {
      let isRunning = false
      let isOver = false
      const settle = (key: Key): void => {
        if (isOver) return
        isOver = true
        this.#clock.clearTimeout(timer)
        signal.removeEventListener('abort', end)
        abort.abort()
        this.#waiting.delete(start)
        if (isRunning) this.#running--
        for (const next of this.#waiting) if (this.#running < MOST_LOOKUPS) next()
        resolve(key)
      }
      const end = (): void => settle(undefined)
      const start = (): void => {
        this.#waiting.delete(start)
        isRunning = true
        this.#running++
        const run = async (): Promise<Key> => asKey(await (begun ?? this.#find(identity, abort.signal)))
        run().then(settle, end)
      }
      const timer = this.#clock.setTimeout(end, LOOKUP_TIME)
      signal.addEventListener('abort', end, { once: true })
      if (begun === undefined) this.#waiting.add(start)
      else start()
    })
  }
}
