import { ConnectionUser, type Context, type Host } from '@iopa/transport'

/** The user that middleware may set on a connection: few connections have one, and requests on the others pay nothing. */
export class NamedUser {
  readonly #user: ConnectionUser
  readonly #connection: Context
  #named = false

  /** `ended` is called when the user has expired or is revoked. */
  constructor(host: Host, connection: Context, ended: () => void) {
    this.#user = new ConnectionUser(host, connection, ended)
    this.#connection = connection
  }

  /** A request of the connection has ended. */
  settled(context: Context): void {
    const named = this.#connection['server.User'] !== undefined
    if (named || this.#named) this.#user.look(context)
    this.#named = named
  }

  close(): void {
    this.#user.close()
  }
}
