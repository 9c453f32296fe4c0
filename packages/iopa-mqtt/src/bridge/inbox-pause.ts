import type { Clock, HeldBytes } from '@iopa/transport'
import type { Inbox } from './inbox.ts'

/** Milliseconds without a finished message after which the connection is read on: a handler may wait for something that comes in on it. */
const STALL = 1000

/**
 * Lets a full inbox pause its connection, so that a burst waits in TCP and nothing is dropped. Acknowledgements and pings wait there as well,
 * so a pause ends when nothing is finished any more; then what finds no room is dropped, until something is finished.
 */
export class InboxPause {
  readonly #clock: Clock
  /** The number of finished messages at which an inbox stalled. */
  readonly #stalled = new WeakMap<object, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Settles when bodies in memory have been given back, and within a second, for what gives them back may come in on the connection. */
  untilFreed(bodies: HeldBytes): Promise<void> {
    return new Promise(resolve => {
      const timer = this.#clock.setTimeout(resolve, STALL)
      bodies.whenFreed(() => {
        this.#clock.clearTimeout(timer)
        resolve()
      })
    })
  }

  /** Settles when the inbox has room again; undefined where it is of no use to wait. */
  until<Message>(inbox: Inbox<Message>): Promise<void> | undefined {
    if (this.#stalled.get(inbox) === inbox.finished) return undefined
    return new Promise(resolve => {
      let finished = inbox.finished
      const look = (): void => {
        if (inbox.finished === finished) {
          this.#stalled.set(inbox, finished)
          withdraw()
          resolve()
          return
        }
        finished = inbox.finished
        timer = this.#clock.setTimeout(look, STALL)
      }
      const withdraw = inbox.whenRoomy(() => {
        this.#clock.clearTimeout(timer)
        resolve()
      })
      let timer = this.#clock.setTimeout(look, STALL)
    })
  }
}
