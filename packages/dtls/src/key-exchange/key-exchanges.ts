import type { Clock } from '@iopa/transport'
import type { Credentials } from '../certificates/credentials.ts'
import type { DtlsOptions } from '../options.ts'
import { ecdheEcdsa } from './ecdhe-ecdsa.ts'
import { ecdhePsk } from './ecdhe-psk.ts'
import type { KeyExchange } from './key-exchange.ts'
import { type ClientKey, pskKeyExchange } from './psk.ts'
import { PskKeys } from './psk-keys.ts'

/** The key of a client: the one that is named, or the first of the table. */
const clientKeyOf = ({ psk, identity }: DtlsOptions): ClientKey | undefined => {
  if (psk === undefined || typeof psk === 'function') return undefined
  const [first] = Object.keys(psk)
  const name = identity ?? first!
  return { identity: name, key: psk[name]! }
}

/** The ways to agree on keys that the options allow. A client with a key takes certificates only where it says whom it trusts: any other server must have the key. */
export const keyExchangesOf = (options: DtlsOptions, credentials: Credentials, clock: Clock): readonly KeyExchange[] => {
  const { psk, ca, rawPublicKeys, realm } = options
  const exchanges: KeyExchange[] = []
  if (psk !== undefined) {
    const keys = new PskKeys(psk, clock)
    const key = clientKeyOf(options)
    exchanges.push(ecdhePsk(keys, key, realm), pskKeyExchange(keys, key, realm))
  }
  const verifies = psk === undefined || ca !== undefined || rawPublicKeys !== undefined
  // Certificates take more room in a handshake: none is given where there are none.
  if (verifies || credentials.own !== undefined) exchanges.push(ecdheEcdsa(credentials, clock, verifies))
  return exchanges
}
