import {
  answerUnrun,
  type Body,
  type Context,
  checkPath,
  type Endpoint,
  type HeaderFields,
  HeaderMap,
  type Host,
  IopaError,
  isControlMethod,
  type Limits,
  type RequestSource,
  type SealedAnswer
} from '@iopa/transport'
import type {} from '../keys.ts'
import { type InboundMessage, type MessageProperties, type OutboundMessage, userProperty } from '../remote/message.ts'
import { isCanonicalTopic, pathOf } from '../topics/topic.ts'

/** User properties that are not headers. */
const RESERVED = new Set(['method', 'status', 'iopa-origin'])
/** A method is a token (RFC 9110 section 9.1). */
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/**
 * What a message asks for: its user property `method`; else with a Response Topic and no payload GET; else retained and empty DELETE; else PUT.
 * @throws IopaError 400 for a method that no peer may ask for.
 */
const methodOf = ({ payload, retain, properties }: InboundMessage): string => {
  const given = userProperty(properties.userProperties, 'method')?.toUpperCase()
  // The one method that is not written in capitals (RFC 8132 section 2.2).
  const asked = given === 'IPATCH' ? 'iPATCH' : given
  if (asked === undefined) {
    if (payload.length > 0) return 'PUT'
    return properties.responseTopic ? 'GET' : retain ? 'DELETE' : 'PUT'
  }
  if (isControlMethod(asked) || !METHOD.test(asked))
    throw new IopaError(400, 'bad-method', `The user property 'method' holds '${asked.slice(0, 32)}', which is no method to ask for.`)
  return asked
}

/** The parts of a request that are in the message; headers are its user properties. */
class MessageSource implements RequestSource {
  readonly #message: InboundMessage
  readonly #limits: Limits

  constructor(message: InboundMessage, limits: Limits) {
    this.#message = message
    this.#limits = limits
  }

  headers(): HeaderFields {
    return new HeaderMap(headersOf(this.#message.properties, this.#limits))
  }

  body(): Body {
    return this.#message.payload.length === 0 ? null : this.#message.payload
  }

  contentType(): string {
    return this.#message.properties.contentType ?? ''
  }
}

/** User properties as a flat list of header names and values, within the limits; what cannot be a header is left out. */
const headersOf = ({ userProperties }: MessageProperties, { headerCount, headerBytes }: Limits): string[] => {
  const pairs: string[] = []
  let bytes = 0
  for (const [name, given] of Object.entries(userProperties ?? {})) {
    const lower = name.toLowerCase()
    if (RESERVED.has(lower) || !HEADER_NAME.test(name)) continue
    for (const value of typeof given === 'string' ? [given] : given) {
      bytes += name.length + value.length
      if (pairs.length >= headerCount * 2 || bytes > headerBytes)
        throw new IopaError(431, 'headers-too-large', 'The message has too many user properties, or too long ones.')
      if (!/[\0\r\n]/.test(value)) pairs.push(lower, value)
    }
  }
  return pairs
}

/** An answer as a message to the Response Topic (MQTT 5 section 4.10): the status and the headers are user properties. */
export const responseOf = (answer: SealedAnswer, request: InboundMessage, topic: string): OutboundMessage => {
  const { correlationData } = request.properties
  return {
    topic,
    // A body that the status leaves out is still a stream.
    payload: answer.isStream ? new Uint8Array(0) : answer.payloadBytes,
    qos: request.qos === 2 ? 1 : request.qos,
    properties: {
      ...(answer.type === '' ? {} : { contentType: answer.type }),
      ...(correlationData ? { correlationData } : {}),
      userProperties: { ...userPropertiesOf(answer.headerPairs), status: String(answer.status) }
    }
  }
}

const userPropertiesOf = (pairs: readonly string[]): Record<string, string | string[]> => {
  const properties: Record<string, string | string[]> = {}
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at]!.toLowerCase()
    if (RESERVED.has(name)) continue
    const value = pairs[at + 1]!
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined
    Object.defineProperty(properties, name, {
      value: known === undefined ? value : [...(typeof known === 'string' ? [known] : known), value],
      enumerable: true,
      configurable: true,
      writable: true
    })
  }
  return properties
}

/** What the requests of one worker have in common. */
export interface RequestParent {
  readonly host: Host
  /** Parent of all requests. */
  readonly connection: Context
  readonly endpoint: Endpoint
}

/** Runs the app for a message: its answer, the payload in memory; null for a topic that no route can have. */
export const invokeFor = async (message: InboundMessage, parent: RequestParent): Promise<SealedAnswer | null> => {
  const { host, connection, endpoint } = parent
  if (!isCanonicalTopic(message.topic)) return null
  const path = pathOf(message.topic)
  let context: Context
  try {
    checkPath(path, host.limits)
    context = host.create(
      { method: methodOf(message), path, query: '', rawPath: message.topic, endpoint, source: new MessageSource(message, host.limits) },
      connection
    )
    describe(context, message)
  } catch (error) {
    return refused(error, parent)
  }
  try {
    await host.invoke(context, message.properties.responseTopic === undefined ? false : 'all')
    return context.response
  } catch (error) {
    return refused(error, parent)
  } finally {
    void context.end()
  }
}

/** What only MQTT knows of a request. */
const describe = (context: Context, { topic, qos, retain, dup, properties }: InboundMessage): void => {
  context['mqtt.Topic'] = topic
  context['mqtt.Qos'] = qos
  context['mqtt.Retain'] = retain
  context['mqtt.Dup'] = dup
  if (properties.responseTopic !== undefined) context['mqtt.ResponseTopic'] = properties.responseTopic
  if (properties.correlationData !== undefined) context['mqtt.CorrelationData'] = properties.correlationData
}

/** The answer to a message that is refused before the app sees it. */
const refused = (error: unknown, { host, connection, endpoint }: RequestParent): SealedAnswer => {
  const context = host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint, source: null }, connection)
  const answer = answerUnrun(
    context,
    error instanceof Error && error.name === 'IopaError' ? (error as IopaError) : new IopaError(500, 'internal-error', '', { cause: error })
  )
  void context.end()
  return answer
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'mqtt+ws:': 80, 'wss:': 443, 'mqtt+wss:': 443 }

/** The broker as the far end of every message. */
export class BrokerEndpoint implements Endpoint {
  readonly scheme: string
  protocol = 'MQTT/5.0'
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress = ''
  readonly localPort = 0
  readonly tls: boolean
  readonly sessionId: string
  readonly rawTransport = null
  readonly bodyLimit: number
  readonly holdsBack = true

  constructor(url: URL, clientId: string, bodyLimit: number) {
    this.scheme = url.protocol.slice(0, -1)
    this.remoteAddress = url.hostname.replace(/^\[|\]$/g, '')
    this.remotePort = Number(url.port) || (DEFAULT_PORTS[url.protocol] ?? 1883)
    this.tls = /(mqtts|wss):$/.test(url.protocol)
    this.sessionId = clientId
    this.bodyLimit = bodyLimit
  }

  /** Says which version has been agreed on. */
  speaks(protocolVersion: 4 | 5): void {
    this.protocol = protocolVersion === 5 ? 'MQTT/5.0' : 'MQTT/3.1.1'
  }
}
