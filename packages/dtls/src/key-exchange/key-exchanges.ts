import type { Clock } from '@iopa/transport'
import type { DtlsOptions } from '../options.ts'
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

/** The ways to agree on keys that the options allow. */
export const keyExchangesOf = (options: DtlsOptions, clock: Clock): readonly KeyExchange[] => {
  const exchanges: KeyExchange[] = []
  if (options.psk !== undefined) exchanges.push(pskKeyExchange(new PskKeys(options.psk, clock), clientKeyOf(options), options.realm))
  return exchanges
}
