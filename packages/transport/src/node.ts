/**
 * Sockets and TLS of Node, as networks for a transport. Nothing else of the core imports a built-in module.
 */

export { channelStream } from './node/channel-stream.ts'
export type { DgramModule } from './node/socket-datagrams.ts'
export { datagramNetwork } from './node/socket-datagrams.ts'
export type { NetModule, TlsModule } from './node/socket-modules.ts'
export type { ProxiedServer } from './node/socket-network.ts'
export { proxiedServer, socketNetwork } from './node/socket-network.ts'
