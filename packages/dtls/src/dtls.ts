import {
  type Clock,
  checkOptions,
  type DatagramChannel,
  IopaError,
  markFactory,
  type SecuredChannel,
  type SecuredDatagrams,
  type SecurityEnvironment
} from '@iopa/transport'
import { credentialsOf } from './certificates/credentials.ts'
import { DtlsChannel } from './channel/dtls-channel.ts'
import { keyExchangesOf } from './key-exchange/key-exchanges.ts'
import { checkValues, DEFAULT_IDLE, type DtlsOptions, OPTIONS } from './options.ts'
import { clientSessions } from './sessions/client-sessions.ts'
import { serverSessions } from './sessions/server-sessions.ts'
import { SessionStore } from './sessions/session-store.ts'

/**
 * DTLS 1.2 with these keys and certificates, for a transport over datagrams. One value may secure several channels; it keeps the sessions
 * that its clients may resume, since a client that connects again has another channel.
 * @throws IopaError 500 for an option that does not exist or cannot be used.
 */
export const dtls: (options: DtlsOptions) => SecuredDatagrams = markFactory('dtls', (options: DtlsOptions): SecuredDatagrams => {
  checkOptions('dtls()', options, OPTIONS, dtls)
  checkValues(options)
  const credentials = credentialsOf(options)
  const stores = new WeakMap<Clock, SessionStore>()
  const clientStore = (clock: Clock): SessionStore => {
    const store = stores.get(clock) ?? new SessionStore(clock)
    stores.set(clock, store)
    return store
  }
  return {
    name: 'dtls',
    // A server with a certificate takes clients without one, unless it asks for a proof.
    exclusive: credentials.own === undefined || credentials.requestCert || credentials.rawPublicKeys !== undefined,
    over(channel: DatagramChannel, environment: SecurityEnvironment): SecuredChannel {
      const exchanges = keyExchangesOf(options, credentials, environment.clock)
      const serves = exchanges.some(({ server, client }) => (environment.accept ? server : client) !== undefined)
      if (!serves) {
        const role = environment.accept ? 'A DTLS listener' : 'A DTLS client'
        throw new IopaError(
          500,
          'tls-without-key',
          `${role} needs keys: write dtls({ psk: { sensor: Buffer.from('...', 'hex') } }), or give key and cert.`
        )
      }
      const kept = new SessionStore(environment.clock)
      const offered = clientStore(environment.clock)
      return new DtlsChannel(channel, environment, {
        exchanges,
        serverSessions: serverSessions(kept),
        clientSessions: clientSessions(offered),
        cid: options.cid ?? false,
        idle: options.idle ?? DEFAULT_IDLE,
        revoke: matches => {
          kept.revoke(matches)
          offered.revoke(matches)
        }
      })
    }
  }
})
