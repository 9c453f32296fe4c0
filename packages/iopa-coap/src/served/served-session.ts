import { ConnectionUser, type Endpoint, isUnrouted, type User } from '@iopa/transport'
import type { SecuredWire, ServedSession } from '../client/secured-client.ts'
import type { ServerInit } from '../listeners/server.ts'
import type { PeerSession } from '../messages/peer.ts'
import { endpointOf, ServedByDatagrams } from './served-datagrams.ts'

/** Both roles in the session of a client: as on its socket, once the app has accepted the CONNECT of the server. */
export class ServedBySession extends ServedByDatagrams implements ServedSession {
  readonly #init: ServerInit
  readonly #wire: SecuredWire
  readonly #connection: ReturnType<ServerInit['host']['create']>
  #user: ConnectionUser | undefined
  #closed = false

  constructor(init: ServerInit, wire: SecuredWire, user: User | undefined) {
    const { host } = init
    const { association } = wire
    const endpoint: Endpoint = {
      ...endpointOf(wire, host.limits.body),
      scheme: 'coaps',
      tls: true,
      sessionId: association.id,
      clientCertificate: () => association.clientCertificate?.()
    }
    super(init, wire, endpoint)
    const connection = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint, source: null })
    if (user !== undefined) connection['server.User'] = user
    const session: PeerSession = { connection, look: by => this.#user?.look(by) }
    wire.peer.session = session
    this.#init = init
    this.#wire = wire
    this.#connection = connection
  }

  async admit(): Promise<boolean> {
    const connection = this.#connection
    const { host } = this.#init
    await host.invoke(connection)
    if (!isUnrouted(connection) && !connection.response.ok) return false
    // The client has not waited for the answer.
    if (this.#closed) return false
    this.#user = new ConnectionUser(host, connection, () => this.#wire.association.close())
    this.#user.look(connection)
    return true
  }

  override close(): void {
    this.#closed = true
    this.#user?.close()
    super.close()
    void this.#connection.end('finish')
  }
}
