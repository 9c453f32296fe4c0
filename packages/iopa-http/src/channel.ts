import type { ByteNetwork, Channel, ConnectOptions } from '@iopa/appbuilder'

/** Opens a channel to a server. Rejects when it cannot. */
export const connect = async (_url: URL, _network: ByteNetwork, _native: boolean, _options: ConnectOptions): Promise<Channel> => {
  throw new Error('soon')
}
