import {
  type Body,
  type HeaderFields,
  HeaderMap,
  IopaError,
  isControlMethod,
  type Limits,
  type RequestSource,
  type SealedAnswer
} from '@iopa/transport'
import { type InboundMessage, type MessageProperties, type OutboundMessage, userProperty } from '../remote/message.ts'

/** User properties that are not headers. */
const RESERVED = new Set(['method', 'status', 'iopa-origin'])
/** A method is a token (RFC 9110 section 9.1). */
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/**
 * What a message asks for: its user property `method`; else with a Response Topic and no payload GET; else retained and empty DELETE; else PUT.
 * @throws IopaError 400 for a method that no peer may ask for.
 */
export const methodOf = ({ payload, retain, properties }: InboundMessage): string => {
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
export class MessageSource implements RequestSource {
  #message: InboundMessage
  #limits: Limits

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
