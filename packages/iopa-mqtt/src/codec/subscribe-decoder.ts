import { ByteReader, malformed } from './byte-reader.ts'
import { checkFlags, packetIdentifier, pairAt } from './packet-checks.ts'
import { PACKET } from './packet-types.ts'
import type { SubscribePacket, SubscriptionRequest } from './packets.ts'
import { PROPERTY, readProperties } from './properties.ts'
import { ProtocolError } from './protocol-error.ts'
import { REASON } from './reason-codes.ts'

/** Reads a SUBSCRIBE (MQTT 5 section 3.8); throws a ProtocolError. */
export function decodeSubscribe(
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
  version: number,
  maxUserProperties: number
): SubscribePacket {
  checkFlags(bytes[start] as number, 2)
  const reader = new ByteReader(bytes, body, end)
  const packetId = packetIdentifier(reader)
  const userProperties: [string, string][] = []
  let subscriptionIdentifier = 0
  if (version === 5) {
    readProperties(reader, PACKET.SUBSCRIBE, maxUserProperties, (identifier, value, from, to) => {
      if (identifier === PROPERTY.USER_PROPERTY) userProperties.push(pairAt(bytes, from, to))
      else subscriptionIdentifier = value
    })
  }
  if (reader.at === end) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a SUBSCRIBE has no topic filter')
  const subscriptions: SubscriptionRequest[] = []
  while (reader.at < end) subscriptions.push(subscriptionAt(reader, version))
  return { type: 'SUBSCRIBE', packetId, subscriptionIdentifier, userProperties, subscriptions }
}

/** A filter and its options (section 3.8.3.1); before MQTT 5 these are the QoS alone. */
function subscriptionAt(reader: ByteReader, version: number): SubscriptionRequest {
  const filter = reader.string()
  const options = reader.uint8()
  if (options & (version === 5 ? 0xc0 : 0xfc) || (options & 3) === 3 || (options & 0x30) === 0x30)
    throw malformed('the options of a subscription are not valid')
  const noLocal = (options & 4) !== 0
  if (noLocal && filter.startsWith('$share/')) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a shared subscription cannot be no-local')
  return { filter, qos: options & 3, noLocal, retainAsPublished: (options & 8) !== 0, retainHandling: (options >> 4) & 3 }
}
