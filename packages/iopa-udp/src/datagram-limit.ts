import { isLoopback } from '@iopa/transport'

/** The largest payload of a datagram: 65,535 bytes less the headers of UDP and IPv4 (RFC 768, RFC 791). */
export const MAX_DATAGRAM = 65_507

const LEAST = 256
const FACTOR = 3

/** How much a request of `size` bytes may bring back: an address off loopback may be forged, and must not be flooded from here. */
export const answerLimit = (address: string, size: number): number =>
  isLoopback(address) ? MAX_DATAGRAM : Math.min(MAX_DATAGRAM, Math.max(FACTOR * size, LEAST))
