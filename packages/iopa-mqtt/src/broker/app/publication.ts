import { type Body, byteBody, type Context, type Endpoint, hasPreconditionField, type RequestSource } from '@iopa/transport'
import { decodeMessageProperties, type MessageProperties } from '../../codec/message-properties.ts'
import type { UserProperties } from '../../codec/packets.ts'
import { REASON } from '../../codec/reason-codes.ts'
import type { Session } from '../session/session.ts'
import type { Message } from '../topics/message.ts'
import type { Topic } from '../topics/topic-table.ts'

/** The receiver of a PUBLISH. Both functions are called once, in this order or within each other. */
export interface PublicationOwner {
  /** The scope that the request is part of: that of the connection, or for a will that of the session. */
  readonly scope: Context
  readonly endpoint: Endpoint
  /** The next message to the topic may begin. */
  handled(publication: Publication): void
  /** The acknowledgement may be sent. */
  done(publication: Publication): void
}

/** A PUBLISH in work: the message, its publisher and the outcome. Its context reads headers and body here. */
export class Publication implements RequestSource {
  readonly session: Session
  readonly topic: Topic
  readonly message: Message
  readonly owner: PublicationOwner
  readonly scope: Context
  /** True for a message without properties. */
  readonly headerless: boolean
  /** The method for the effect of relaying it: DELETE if it removes a retained message, else PUT. */
  readonly effect: string
  /** The method that the message stands for (design: MQTT rulings). */
  readonly method: string
  /** 0 for QoS 0. */
  packetId = 0
  dup = false
  isWill = false
  reasonCode: number = REASON.SUCCESS
  /** Status of the handler, 0 if there was none. */
  status = 0
  reason = ''
  /** True for a topic that clients may not publish to: a client of MQTT 3 gets a plain acknowledgement (MQTT 5 section 4.7.2). */
  dropped = false
  /** True once its handler has finished and its deliveries are in their order. */
  handled = false
  /** True if no other message to its topic waits for it. */
  aside = false
  /** True in a second run, which asks for the permission to relay: no route handled the method that the message names. */
  asksToRelay = false
  /** True once it may be acknowledged. */
  settled = false
  /** True if it was not settled at once. */
  waited = false
  /** Releases its share of the memory for bodies. */
  giveBack: (() => void) | null = null
  /** True if a user property names the method. */
  namesMethod = false
  #properties: MessageProperties | null = null

  constructor(session: Session, topic: Topic, message: Message, owner: PublicationOwner) {
    this.session = session
    this.topic = topic
    this.message = message
    this.owner = owner
    this.scope = owner.scope
    this.headerless = message.properties.length === 0
    this.effect = message.retain && message.payloadStart === message.payloadEnd ? 'DELETE' : 'PUT'
    this.method = !topic.routable ? 'PUBLISH' : this.headerless ? this.effect : this.#askedMethod()
  }

  get properties(): MessageProperties {
    return (this.#properties ??= this.headerless ? NO_PROPERTIES : decodeMessageProperties(this.message.properties))
  }

  #askedMethod(): string {
    const { userProperties, responseTopic } = this.properties
    const named = userProperties?.find(([name]) => name.toLowerCase() === 'method')
    if (named) {
      this.namesMethod = true
      return named[1].toUpperCase() === 'IPATCH' ? 'iPATCH' : named[1].toUpperCase()
    }
    return responseTopic !== undefined && this.message.isEmpty ? 'GET' : this.effect
  }

  /** True for a request: its outcome is an answer and the state of a path, and the message itself is not delivered. */
  get isRequest(): boolean {
    return this.topic.answersGet && !this.headerless && this.properties.responseTopic !== undefined
  }

  headers(): string[] {
    const { userProperties, responseTopic, contentType = '' } = this.properties
    const pairs = headersOf(userProperties ?? [], 'method')
    if (responseTopic === undefined || contentType === '' || BAD_VALUE.test(contentType)) return pairs
    // MQTT has no property that says what a requester accepts: one that names a type of its own reads that.
    if (!pairs.some((name, at) => at % 2 === 0 && name === 'accept')) pairs.push('accept', `${contentType}, */*;q=0.1`)
    return pairs
  }

  hasPrecondition(): boolean {
    return hasPreconditionField(this.headers())
  }

  contentType(): string {
    return this.properties.contentType ?? ''
  }

  body(): Body {
    const { bytes, payloadStart, payloadEnd } = this.message
    return payloadStart === payloadEnd ? null : byteBody(bytes, payloadStart, payloadEnd)
  }

  /** Sets the keys of a request on its context; false for a message without a Response Topic. */
  setReplyKeys(context: Context): boolean {
    const { responseTopic, correlationData } = this.properties
    if (responseTopic !== undefined) context['mqtt.ResponseTopic'] = responseTopic
    if (correlationData !== undefined) context['mqtt.CorrelationData'] = correlationData
    return responseTopic !== undefined
  }
}

const NO_PROPERTIES: MessageProperties = {}

/** Headers that are known from the start: those of CONNECT, SUBSCRIBE and UNSUBSCRIBE. */
export class HeaderSource implements RequestSource {
  readonly #pairs: string[]

  constructor(pairs: string[]) {
    this.#pairs = pairs
  }

  headers(): string[] {
    return this.#pairs
  }
}

// What a header name may be (RFC 9110 section 5.6.2) and a value may hold.
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const BAD_VALUE = /[\0\r\n]/

/** User properties as headers; names that no header may have are left out. */
export function headersOf(userProperties: UserProperties, reserved?: string): string[] {
  const pairs: string[] = []
  for (const [name, value] of userProperties) {
    if (NAME.test(name) && !BAD_VALUE.test(value) && name.toLowerCase() !== reserved) pairs.push(name.toLowerCase(), value)
  }
  return pairs
}

/**
 * The headers of a CONNECT: user name and password as Basic credentials, then the user properties. A user name with a colon has no form
 * as Basic credentials (RFC 7617 section 2): it would pass for another name with another password.
 */
export function connectHeaders(userName: string | null, password: Buffer | null, userProperties: UserProperties): string[] {
  const pairs = headersOf(userProperties, 'authorization')
  if ((userName === null && password === null) || userName?.includes(':')) return pairs
  const credentials = Buffer.concat([Buffer.from(`${userName ?? ''}:`), password ?? Buffer.alloc(0)]).toString('base64')
  return ['authorization', `Basic ${credentials}`, ...pairs]
}
