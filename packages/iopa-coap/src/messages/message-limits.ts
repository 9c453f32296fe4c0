import type { Limits } from '@iopa/appbuilder'

/** Bounds of a message layer. */
export interface MessageLimits {
  /** Peers that are remembered; beyond it the one that was silent for longest is forgotten. */
  readonly peers: number
  /** Peers of one address; loopback is not counted. Any number unless given. */
  readonly peersPerAddress?: number
  /** Requests without an answer, in all and for each peer; beyond it they are answered 5.03. */
  readonly inFlight: number
  readonly inFlightPerPeer: number
  /** The same for all peers of one address; loopback is not counted. */
  readonly inFlightPerAddress?: number
  /** Bytes of answers kept for repetition, for each peer and in all. */
  readonly duplicatePeerBytes: number
  readonly duplicateBytes: number
  /** Beyond so many bytes a peer takes only what would leave half of all unused. */
  readonly duplicateShare?: number
  /** Confirmable messages that wait for their turn, for each peer. */
  readonly queue: number
}

/** The bounds of a message layer under those of its listener or channel. */
export const messageLimits = (limits: Limits): MessageLimits => ({
  peers: limits.connections,
  peersPerAddress: limits.connectionsPerAddress,
  inFlight: limits.inFlight,
  inFlightPerPeer: limits.inFlightPerConnection,
  inFlightPerAddress: Math.max(limits.inFlightPerConnection, limits.inFlight / 4),
  duplicatePeerBytes: 2 * 1024 * 1024,
  duplicateShare: 64 * 1024,
  duplicateBytes: 32 * 1024 * 1024,
  queue: limits.queueMessages
})
