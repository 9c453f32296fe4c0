import type { Context } from '@iopa/transport'
import type { Connection } from './connection.ts'
import type { Publication } from './publication.ts'

/** Bytes of a message that the number of messages bounds well enough. */
const UNCOUNTED = 16 * 1024

/** The messages of one connection among the bodies in memory of the app: while these have no room, the client waits. */
export class IntakeRoom {
  readonly #connection: Connection
  #waits = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** True while there is room for more of this user; otherwise the connection goes on when bodies have been given back. */
  get left(): boolean {
    const { bodies } = this.#connection.broker
    if (bodies === undefined || !bodies.tight || bodies.hasRoom(bodies.ownerOf(this.#connection.context as Context), 1)) return true
    if (!this.#waits) {
      this.#waits = true
      bodies.whenFreed(() => {
        this.#waits = false
        this.#connection.proceed()
      })
    }
    return false
  }

  /** Counts a message that stays in memory until it is settled. */
  count(publication: Publication): void {
    const { bodies } = this.#connection.broker
    const { size } = publication.message
    if (bodies === undefined || size <= UNCOUNTED) return
    const owner = bodies.ownerOf(this.#connection.context as Context)
    bodies.take(owner, size)
    publication.giveBack = () => bodies.give(owner, size)
  }
}
