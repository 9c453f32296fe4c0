import type { Context, IopaError, Subscription, UserWatches } from '@iopa/transport'
import { REASON } from '../../codec/reason-codes.ts'
import type { Operation } from '../operation/operation.ts'
import type { WillHandling } from '../ports.ts'
import type { Session } from '../session/session.ts'
import type { Sessions } from '../session/sessions.ts'

/** The connection of a user. */
export interface UserConnection {
  readonly session: Session | null
  disconnect(reasonCode: number, reasonString: string, will?: WillHandling): void
}

export interface UserValidityPorts {
  readonly users: UserWatches
  readonly sessions: Sessions
  readonly operation: Pick<Operation, 'settings' | 'clock' | 'batches'>
}

/** Ends a connection when its user expires or is revoked: with reason code 0x87 in MQTT 5 (section 3.14.2.1). */
export class UserValidity {
  readonly #connection: UserConnection
  readonly #authenticates: () => boolean
  readonly #ports: UserValidityPorts
  #watch: Subscription | null = null
  /** Timer for an authentication that is under way when the user expires. */
  #grace: unknown = null

  /** `authenticates` is true while the client authenticates again. */
  constructor(connection: UserConnection, authenticates: () => boolean, ports: UserValidityPorts) {
    this.#connection = connection
    this.#authenticates = authenticates
    this.#ports = ports
  }

  /** Watches the user that the run of `by` has set: a CONNECT, or a later authentication. */
  watch(context: Context, by: Context): void {
    this.close()
    const { session } = this.#connection
    // The authorizations of the user are checked again whenever the user is.
    const checked = (): void => session?.resetAuthorizations()
    this.#watch = this.#ports.users.watch(context, error => this.#ended(error), { by, checked })
  }

  close(): void {
    this.#watch?.[Symbol.dispose]()
    this.#watch = null
    if (this.#grace !== null) this.#ports.operation.clock.clearTimeout(this.#grace)
    this.#grace = null
  }

  #ended({ code }: IopaError): void {
    const { session } = this.#connection
    const { sessions, operation } = this.#ports
    this.#watch = null
    operation.batches.batch(() => {
      if (code === 'user-revoked') {
        if (session !== null) sessions.endRevoked(session)
      } else if (this.#authenticates()) this.#grace = operation.clock.setTimeout(() => this.#expire(), operation.settings.limits.headerTimeout)
      else this.#expire()
    })
  }

  #expire(): void {
    this.#connection.disconnect(REASON.NOT_AUTHORIZED, 'this user has to authenticate again', 'hold')
  }
}
