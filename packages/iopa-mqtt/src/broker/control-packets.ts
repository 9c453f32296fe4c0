import type { ClientPacket, DisconnectPacket } from '../codec/packets.ts'
import { ProtocolError } from '../codec/protocol-error.ts'
import { REASON } from '../codec/reason-codes.ts'
import type { Connection } from './connection.ts'
import type { Session } from './session.ts'
import { subscribe, unsubscribe } from './subscribing.ts'

/** Does what the rarer packets of an open connection ask for; throws a ProtocolError. */
export function handleControlPacket(connection: Connection, session: Session, packet: ClientPacket): void {
  switch (packet.type) {
    case 'SUBSCRIBE':
      subscribe(connection, session, packet)
      break
    case 'UNSUBSCRIBE':
      unsubscribe(connection, session, packet)
      break
    case 'DISCONNECT':
      disconnected(connection, session, packet)
      break
    case 'AUTH':
      connection.reauthenticate(packet)
      break
    default:
      throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a second CONNECT')
  }
}

function disconnected(connection: Connection, session: Session, { reasonCode, sessionExpiryInterval }: DisconnectPacket): void {
  if (sessionExpiryInterval !== undefined) {
    if (sessionExpiryInterval > 0 && !session.persistent)
      throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a session without expiry cannot be given one')
    connection.broker.sessions.changeExpiry(session, sessionExpiryInterval)
  }
  // With reason 4 the client wants its will to be published (MQTT 5 section 3.14.2.1).
  connection.leave(reasonCode, reasonCode === REASON.DISCONNECT_WITH_WILL ? 'publish' : 'drop')
}
