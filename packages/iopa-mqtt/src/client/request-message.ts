import { type Bag, IopaError, isControlMethod, type OutgoingRequest } from '@iopa/transport'
import type { MessageProperties, OutboundMessage } from '../remote/message.ts'
import { topicOf } from '../topics/topic.ts'

/** What a client adds to a request to make a message of it. */
interface MessageParts {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1
  readonly properties: MessageProperties
}

/** A request as a message: its method and its headers are user properties. */
export const messageOf = (request: OutgoingRequest, bag: Bag, { topic, payload, qos, properties }: MessageParts): OutboundMessage => {
  const userProperties: Record<string, string | string[]> = {}
  for (const [name] of request.headers) {
    const lower = name.toLowerCase()
    if (lower !== 'content-type') userProperties[lower] = request.headers.getAll(name)
  }
  userProperties['method'] = request.method
  const type = request.type === '' ? {} : { contentType: request.type }
  return { topic, payload, qos, retain: isRetained(request, bag), properties: { ...properties, ...type, userProperties } }
}

/** True for a URL whose path is that of the WebSocket. */
export const isWebSocket = ({ protocol }: URL): boolean => /^(mqtt\+)?wss?:$/.test(protocol)

/** An empty retained message is what takes a retained one away (MQTT 5 section 3.3.1.3). */
export const isRetained = ({ method }: OutgoingRequest, bag: Bag): boolean => bag['mqtt.Retain'] ?? method === 'DELETE'

/** The topic of a request. @throws IopaError 400 where it has none */
export const topicFor = ({ path, query, method }: OutgoingRequest): string => {
  if (query !== '') throw new IopaError(400, 'no-query-in-mqtt', 'A topic has no query: send what it says as headers or in the body.')
  if (isControlMethod(method)) throw new IopaError(400, 'control-method', `A peer cannot use the method ${method}.`)
  return topicOf(path)
}
