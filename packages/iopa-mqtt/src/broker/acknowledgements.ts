import { PACKET } from '../codec/packet-types.ts'
import { decodeAcknowledgement } from '../codec/publish-decoder.ts'
import { REASON } from '../codec/reason-codes.ts'
import type { Connection } from './connection.ts'
import type { Session } from './session.ts'

/** Handles what a client says of messages that it was sent: PUBACK, PUBREC, PUBCOMP. */
export function handleAcknowledgement(connection: Connection, session: Session, type: number, bytes: Buffer, body: number, end: number): void {
  const { deliveries } = session
  const value = decodeAcknowledgement(bytes, body, end, type, connection.version, connection.broker.limits.headerCount)
  const packetId = value >> 8
  if (type === PACKET.PUBACK) deliveries.acknowledged(packetId)
  else if (type === PACKET.PUBCOMP) deliveries.completed(packetId)
  else {
    const reasonCode = value & 255
    const known = deliveries.received(packetId, reasonCode)
    // A refusal of what is not known needs no answer: the client has given the message up (MQTT 5 section 4.3.3).
    if (!known && reasonCode < REASON.UNSPECIFIED_ERROR) connection.sender.release(packetId, REASON.PACKET_IDENTIFIER_NOT_FOUND)
  }
}
