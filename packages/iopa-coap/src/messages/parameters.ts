import { type Limits, optionError } from '@iopa/transport'

/** Transmission parameters; times are in milliseconds (RFC 7252 section 4.8). */
export interface TransmissionParameters {
  /** Least time before a confirmable message is sent again. Default 2,000. */
  readonly ackTimeout?: number
  /** The first timeout is chosen at random between ackTimeout and this multiple of it; at least 1. Default 1.5. */
  readonly ackRandomFactor?: number
  /** How often a confirmable message is sent again, each time after twice the wait. Default 4. */
  readonly maxRetransmit?: number
  /** Confirmable messages of ours that may wait for their acknowledgement at one time, for each peer. Default 1. */
  readonly nstart?: number
  /**
   * What NSTART of a client may grow to: it has one more for each message that was acknowledged the first time it was sent, and falls back to `nstart` with
   * the first that was not. Default 32 for a server on loopback where `nstart` is not given; otherwise `nstart`, which never grows.
   */
  readonly nstartLimit?: number
  /** Answers to a multicast request are sent at a random moment within this time. Default 5,000. */
  readonly leisure?: number
  /** The longest that a datagram is expected to be under way. Default 100,000. */
  readonly maxLatency?: number
}

/** Every parameter with its value, and the times that follow from them (RFC 7252 section 4.8.2). */
export interface Transmission extends Required<Omit<TransmissionParameters, 'nstartLimit'>> {
  /** Undefined where it was not given. */
  readonly nstartLimit: number | undefined
  /** From the first to the last time that a confirmable message is sent: 45 s. */
  readonly maxTransmitSpan: number
  /** From the first time that it is sent until its sender gives up: 93 s. */
  readonly maxTransmitWait: number
  /** How long the id of a confirmable message may not be used again: 247 s. */
  readonly exchangeLifetime: number
  /** The same for a non-confirmable message: 145 s. */
  readonly nonLifetime: number
}

const LEAST = { ackTimeout: 1, ackRandomFactor: 1, maxRetransmit: 0, nstart: 1, nstartLimit: 1, leisure: 0, maxLatency: 0 } as const

const WHOLE: ReadonlySet<string> = new Set(['maxRetransmit', 'nstart'])
/** The waits double, so more repetitions would outlast any clock. */
const MOST = 32

/** Fills in the defaults and derives the times. @throws IopaError 500 for an unknown name, or a number that is too small. */
export const transmission = (parameters: TransmissionParameters = {}): Transmission => {
  const { ackTimeout = 2000, ackRandomFactor = 1.5, maxRetransmit = 4, nstart = 1, leisure = 5000, maxLatency = 100_000 } = parameters
  for (const [name, value] of Object.entries(parameters)) {
    if (!(name in LEAST)) throw optionError(`There is no parameter '${name}'; there are ${Object.keys(LEAST).join(', ')}.`)
    const least = LEAST[name as keyof typeof LEAST]
    if (value === undefined) continue
    const whole = WHOLE.has(name)
    if (!(whole ? Number.isSafeInteger(value) : Number.isFinite(value)) || value < least || (whole && value > MOST))
      throw optionError(`'${name}' must be a ${whole ? `whole number from ${least} to ${MOST}` : `number of at least ${least}`}, not ${value}.`)
  }
  const maxTransmitSpan = ackTimeout * (2 ** maxRetransmit - 1) * ackRandomFactor
  return {
    ackTimeout,
    ackRandomFactor,
    maxRetransmit,
    nstart,
    // One that was given does not grow by itself.
    nstartLimit: parameters.nstartLimit ?? parameters.nstart,
    leisure,
    maxLatency,
    maxTransmitSpan,
    maxTransmitWait: ackTimeout * (2 ** (maxRetransmit + 1) - 1) * ackRandomFactor,
    // PROCESSING_DELAY is set to ACK_TIMEOUT.
    exchangeLifetime: maxTransmitSpan + 2 * maxLatency + ackTimeout,
    nonLifetime: maxTransmitSpan + maxLatency
  }
}

/** Bounds of a message layer. */
export interface MessageLimits {
  /** Peers that are remembered; beyond it the one that was silent for longest is forgotten. */
  readonly peers: number
  /** Peers of one address, in IPv6 of one network of 64 bits; loopback is not counted. Any number unless given. */
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
