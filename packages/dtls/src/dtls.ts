import {
  checkOptions,
  type DatagramChannel,
  IopaError,
  markFactory,
  type SecuredChannel,
  type SecuredDatagrams,
  type SecurityEnvironment
} from '@iopa/transport'
import { DtlsChannel } from './channel/dtls-channel.ts'
import { keyExchangesOf } from './key-exchange/key-exchanges.ts'
import { checkValues, DEFAULT_IDLE, type DtlsOptions, OPTIONS } from './options.ts'

/**
 * DTLS 1.2 with these keys and certificates, for a transport over datagrams. The value holds configuration alone: one value may secure several channels.
 * @throws IopaError 500 for an option that does not exist or cannot be used.
 */
export const dtls: (options: DtlsOptions) => SecuredDatagrams = markFactory('dtls', (options: DtlsOptions): SecuredDatagrams => {
  checkOptions('dtls()', options, OPTIONS, dtls)
  checkValues(options)
  return {
    name: 'dtls',
    over(channel: DatagramChannel, environment: SecurityEnvironment): SecuredChannel {
      const exchanges = keyExchangesOf(options, environment.clock)
      const serves = exchanges.some(({ server, client }) => (environment.accept ? server : client) !== undefined)
      if (!serves) {
        const role = environment.accept ? 'A DTLS listener' : 'A DTLS client'
        throw new IopaError(500, 'tls-without-key', `${role} needs a key: write dtls({ psk: { sensor: Buffer.from('...', 'hex') } }).`)
      }
      return new DtlsChannel(channel, environment, { exchanges, cid: options.cid ?? false, idle: options.idle ?? DEFAULT_IDLE })
    }
  }
})
