import type { Clock, DatagramChannel } from '@iopa/transport'
import { CODE } from '../codec/codes.ts'
import { encodeEmpty } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import type { MessageLimits, Transmission } from './parameters.ts'
import type { Peer } from './peer.ts'

/** What the layer above does with messages. None of these may throw. */
export interface MessageHandlers {
  /** Takes a request that was not received before; true while its acknowledgement is still to come. It is answered where it came from: `unproven` is true at the latest address of an association. */
  request(peer: Peer, message: ReceivedMessage, fingerprint: number, toMulticast: boolean, unproven: boolean): boolean
  /** The answer to a request for whose peer there is no room. */
  refusal(message: ReceivedMessage): Uint8Array
  /** Takes a response in a message of its own; false when no request waits for it, and it is rejected. */
  response(peer: Peer, message: ReceivedMessage): boolean
  /** Called with each step of the timer; true while there is something to acknowledge. */
  step(): boolean
  /** True while every request has its response. */
  readonly idle: boolean
}

/** What a message layer works on. */
export interface MessageLayerInit {
  /** Carries the messages of endpoints; those of associations come through `receiveFrom`. */
  readonly channel?: DatagramChannel
  readonly clock: Clock
  readonly transmission: Transmission
  readonly limits: MessageLimits
  /** What NSTART may grow to; it does not grow unless given. */
  readonly nstartLimit?: number
  /** How many times what it has sent a peer may be sent while it is not verified; unbounded unless given. */
  readonly amplification?: number
  /** Called with errors of the channel and faults in a handler. */
  readonly onError: (error: unknown) => void
  /** Called for a datagram that is no message, or for whose peer there is no room. */
  readonly refused?: (status: number, code: string, address: string, port: number) => void
}

/** Until the layer above opens it. */
export const NO_HANDLERS: MessageHandlers = {
  request: () => false,
  refusal: ({ id }) => encodeEmpty(TYPE.RST, id),
  response: () => false,
  step: () => false,
  idle: true
}

/** A confirmable message that means nothing here is reset, a ping among them; a non-confirmable Empty one is ignored. */
export const rejects = ({ type, code }: ReceivedMessage): boolean => type === TYPE.CON || code !== CODE.EMPTY
