import type { Clock } from '@iopa/transport'
import type { Credentials } from '../certificates/credentials.ts'
import { EcdsaClient, ecdsaExtensions } from './ecdhe-ecdsa-client.ts'
import { ecdsaServer } from './ecdhe-ecdsa-server.ts'
import type { KeyExchange } from './key-exchange.ts'

/**
 * Ephemeral keys, signed with the key of a certificate or with a raw public key (RFC 8422, RFC 7251, RFC 7250; mandatory in RFC 7252 9.1.3.2 and 9.1.3.3).
 * `client` is false where a client has keys of another kind alone.
 */
export const ecdheEcdsa = (credentials: Credentials, clock: Pick<Clock, 'now'>, client: boolean): KeyExchange => {
  const now = (): number => clock.now()
  return {
    name: 'ecdhe-ecdsa',
    ...(credentials.own !== undefined && { server: parameters => ecdsaServer(parameters, credentials, now) }),
    ...(client && {
      client: parameters => new EcdsaClient(parameters, credentials, now),
      clientExtensions: target => ecdsaExtensions(credentials, target),
      // Both roles take the same keys.
      suitsServer: ({ proof }) => proof === 'rpk'
    })
  }
}
