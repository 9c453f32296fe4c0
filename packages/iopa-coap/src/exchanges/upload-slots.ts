import { abortable } from '@iopa/transport'

/** How many bodies in blocks a client sends at once to one server, which keeps no more than that of one endpoint. */
const MOST = 16

/** Holds back large bodies while as many as a server takes are under way. */
export class UploadSlots {
  #used = 0
  readonly #waiting: (() => void)[] = []

  /** Resolves when the body may be sent; `leave` has to follow. Rejects when the signal aborts first. */
  async enter(signal: AbortSignal | undefined): Promise<void> {
    if (this.#used < MOST) {
      this.#used++
      return
    }
    let turn: () => void = () => undefined
    const free = new Promise<void>(resolve => {
      turn = resolve
      this.#waiting.push(resolve)
    })
    try {
      await abortable(signal, () => free)
    } catch (error) {
      const at = this.#waiting.indexOf(turn)
      if (at >= 0) this.#waiting.splice(at, 1)
      else this.leave()
      throw error
    }
  }

  /** Gives the place to the next that waits. */
  leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#used--
    else next()
  }
}
