import type { IopaError } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { Host, Subscription } from '../contract/host.ts'
import { type UserWatches, usersOf } from './user-watches.ts'

/** Watches the user that middleware has set on a connection: after the user has expired or is revoked, no request inherits it. */
export class ConnectionUser {
  readonly #users: UserWatches
  readonly #connection: Context
  readonly #ended: (error: IopaError) => void
  #user: unknown = undefined
  #watch: Subscription | null = null

  /** `ended` is called when the user of the connection has ended; it closes the connection. */
  constructor(host: Host, connection: Context, ended: (error: IopaError) => void) {
    this.#users = usersOf(host)
    this.#connection = connection
    this.#ended = ended
  }

  /** Looks whether middleware has set another user; to be called after each request, with that request. */
  look(by: Context): void {
    if (this.#connection['server.User'] !== this.#user) this.#changed(by)
  }

  close(): void {
    this.#watch?.[Symbol.dispose]()
    this.#watch = null
  }

  #changed(by: Context): void {
    const connection = this.#connection
    this.close()
    this.#user = connection['server.User']
    const ended = (error: IopaError): void => {
      this.#watch = null
      connection['server.User'] = this.#user = undefined
      // Its observers have their 401 first.
      queueMicrotask(() => this.#ended(error))
    }
    this.#watch = this.#users.watch(connection, ended, { by })
  }
}
