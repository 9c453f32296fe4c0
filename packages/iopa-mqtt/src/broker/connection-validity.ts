import type { Context, IopaError, Subscription } from '@iopa/transport'
import { REASON } from '../codec/reason-codes.ts'
import type { Connection } from './connection.ts'

/** Ends a connection with its user: 0x87 in MQTT 5 (section 3.14.2.1), before that without a word. */
export class ConnectionValidity {
  readonly #connection: Connection
  #watch: Subscription | null = null
  /** The time in which an authentication that is under way may finish. */
  #grace: unknown = null

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Watches the user whom the run of `by` has set: a CONNECT, or a later authentication. */
  watch(context: Context, by: Context): void {
    this.close()
    const { broker, session } = this.#connection
    // What the user may see is asked again as often as the user is.
    const checked = (): void => {
      session?.verdicts.reset()
      session?.replyVerdicts.reset()
    }
    this.#watch = broker.users.watch(context, error => this.#ended(error), { by, checked })
  }

  close(): void {
    this.#watch?.[Symbol.dispose]()
    this.#watch = null
    if (this.#grace !== null) this.#connection.broker.clock.clearTimeout(this.#grace)
    this.#grace = null
  }

  #ended({ code }: IopaError): void {
    const connection = this.#connection
    const { broker, session } = connection
    this.#watch = null
    broker.flusher.batch(() => {
      if (code === 'user-revoked') {
        if (session !== null) broker.sessions.cut(session)
      } else if (connection.authenticating) this.#grace = broker.clock.setTimeout(() => this.#expire(), broker.limits.headerTimeout)
      else this.#expire()
    })
  }

  #expire(): void {
    this.#connection.disconnect(REASON.NOT_AUTHORIZED, 'this user has to authenticate again', 'pardon')
  }
}
