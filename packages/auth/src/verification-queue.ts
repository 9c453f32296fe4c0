import type { Context } from '@iopa/appbuilder'
import { addressGroup } from '@iopa/transport'
import { sharedError } from '@iopa/transport/host'

const BUSY = sharedError(503, 'authentication-busy', 'Too many requests wait for authentication: try again later.', { 'retry-after': '1' })

/** How many verifications run and wait at once. */
export interface QueueLimits {
  readonly concurrency: number
  readonly queue: number
}

interface Waiting {
  readonly address: string
  readonly start: () => void
}

/**
 * Bounds the verifications that run at once, for hashing a password costs a lot. Above half of the queue one address may hold an eighth of it, so
 * that one client cannot keep all others out.
 */
export class VerificationQueue {
  readonly #limits: QueueLimits
  readonly #waiting = new Set<Waiting>()
  readonly #byAddress = new Map<string, number>()
  #running = 0

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  /** Runs `verify` at once where there is room, synchronously where it is synchronous. @throws IopaError 503 where the queue is full. */
  run<T>(context: Context, verify: () => T | Promise<T>): T | Promise<T> {
    if (this.#running < this.#limits.concurrency) return this.#start(verify)
    const address = addressGroup(context['server.RemoteAddress'])
    const own = this.#byAddress.get(address) ?? 0
    const { queue } = this.#limits
    if (this.#waiting.size >= queue || (this.#waiting.size >= queue / 2 && own >= Math.max(1, queue / 8))) throw BUSY
    this.#byAddress.set(address, own + 1)
    return new Promise<T>((resolve, reject) => {
      const waiting: Waiting = {
        address,
        start: () => {
          try {
            resolve(this.#start(verify))
          } catch (error) {
            reject(error)
          }
        }
      }
      this.#waiting.add(waiting)
      // A request that is over leaves the queue.
      context.defer(() => {
        if (this.#leave(waiting)) reject(BUSY)
      })
    })
  }

  #start<T>(verify: () => T | Promise<T>): T | Promise<T> {
    let value: T | Promise<T>
    this.#running++
    try {
      value = verify()
    } catch (error) {
      this.#next()
      throw error
    }
    if (typeof (value as { then?: unknown } | null)?.then !== 'function') {
      this.#next()
      return value
    }
    return Promise.resolve(value).finally(() => this.#next())
  }

  #next(): void {
    this.#running--
    const [first] = this.#waiting
    if (first !== undefined && this.#leave(first)) first.start()
  }

  #leave(waiting: Waiting): boolean {
    if (!this.#waiting.delete(waiting)) return false
    const left = (this.#byAddress.get(waiting.address) ?? 1) - 1
    if (left > 0) this.#byAddress.set(waiting.address, left)
    else this.#byAddress.delete(waiting.address)
    return true
  }
}
