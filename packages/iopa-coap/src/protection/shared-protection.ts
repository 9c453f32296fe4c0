import type { ActiveProtection, MessageProtection, ProtectionEnvironment } from '@iopa/transport'

/** A protection that a listener or a client uses. */
export interface ProtectionUse {
  readonly name: string
  /** The number of the option that protected messages have. */
  readonly option: number
  /** True where every request has to be protected. */
  readonly exclusive: boolean
  readonly active: ActiveProtection
  /** Ends this use; the last one closes the protection, which the promise waits for. Further calls do nothing. */
  release(): Promise<void>
}

/** One protection while listeners and clients use it: they share its sequence numbers, so it begins once. */
class SharedProtection {
  readonly #protection: MessageProtection
  #uses = 0
  #active: Promise<ActiveProtection> | undefined
  /** Settles when the use before has ended: until then its store is locked. */
  #closed: Promise<void> = Promise.resolve()

  constructor(protection: MessageProtection) {
    this.#protection = protection
  }

  async use(environment: ProtectionEnvironment): Promise<ProtectionUse> {
    this.#uses++
    const starting = (this.#active ??= this.#closed.then(() => this.#protection.start(environment)))
    let released: Promise<void> | undefined
    try {
      const active = await starting
      const { name, option, exclusive } = this.#protection
      return { name, option, exclusive, active, release: () => (released ??= this.#release(starting)) }
    } catch (error) {
      await this.#release(undefined)
      if (this.#active === starting) this.#active = undefined
      throw error
    }
  }

  async #release(active: Promise<ActiveProtection> | undefined): Promise<void> {
    if (--this.#uses > 0 || active === undefined) return
    this.#active = undefined
    const closing = active.then(started => started.close())
    this.#closed = closing.catch(() => undefined)
    await closing
  }
}

/** By the value that was given to `coap()`. */
const SHARED = new WeakMap<MessageProtection, SharedProtection>()

/** Begins to use a protection. Rejects when it cannot start. */
export const useProtection = (protection: MessageProtection, environment: ProtectionEnvironment): Promise<ProtectionUse> => {
  let shared = SHARED.get(protection)
  if (shared === undefined) SHARED.set(protection, (shared = new SharedProtection(protection)))
  return shared.use(environment)
}
