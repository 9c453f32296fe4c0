import { type Body, byteBody, type Context, hasPreconditionField, type RequestSource } from '@iopa/transport'
import { decodeMessageProperties, type MessageProperties } from '../codec/message-properties.ts'
import { REASON } from '../codec/reason-codes.ts'
import type { Message } from './message.ts'
import { headersOf } from './requests.ts'
import type { Session } from './session.ts'
import type { Topic } from './topic-table.ts'

/** Who hears what becomes of a publication; each is called once, in this order. */
export interface PublicationOwner {
  /** The next message to its topic may begin. */
  handled(publication: Publication): void
  /** The acknowledgement may leave. */
  done(publication: Publication): void
}

/** A PUBLISH in work: the message, who sent it, and what became of it. It is also where its context reads headers and body. */
export class Publication implements RequestSource {
  readonly session: Session
  /** The scope that the request is part of: its connection's, or for a will its session's. */
  readonly parent: Context
  readonly topic: Topic
  readonly message: Message
  /** 0 for QoS 0. */
  readonly packetId: number
  readonly dup: boolean
  readonly isWill: boolean
  readonly owner: PublicationOwner
  reasonCode: number = REASON.SUCCESS
  /** Status of the handler, 0 when there was none. */
  status = 0
  reason = ''
  /** True when it is not for clients: one of MQTT 3 gets a plain acknowledgement (MQTT 5 section 4.7.2). */
  dropped = false
  /** True once its handler has finished and its deliveries are in their order. */
  handled = false
  /** True when no other message to its topic waits for it. */
  aside = false
  /** True while it is asked whether it may be relayed, where the method that it names has no route. */
  asksToRelay = false
  /** True once it may be acknowledged. */
  settled = false
  /** True when it was not settled at once. */
  waited = false
  /** Gives back what was counted of it with the bodies of the app. */
  giveBack: (() => void) | null = null
  /** True once `method` has found that the sender named one. */
  namesMethod = false
  #properties: MessageProperties | null = null

  constructor(
    session: Session,
    parent: Context,
    topic: Topic,
    message: Message,
    packetId: number,
    dup: boolean,
    isWill: boolean,
    owner: PublicationOwner
  ) {
    this.session = session
    this.parent = parent
    this.topic = topic
    this.message = message
    this.packetId = packetId
    this.dup = dup
    this.isWill = isWill
    this.owner = owner
  }

  get properties(): MessageProperties {
    return (this.#properties ??= this.message.properties.length === 0 ? NO_PROPERTIES : decodeMessageProperties(this.message.properties))
  }

  /** The method that the message stands for (design: MQTT rulings). */
  get method(): string {
    const { message } = this
    if (!this.topic.routable) return 'PUBLISH'
    if (message.properties.length > 0) {
      const { userProperties, responseTopic } = this.properties
      const named = userProperties?.find(([name]) => name.toLowerCase() === 'method')
      if (named) {
        this.namesMethod = true
        return named[1].toUpperCase() === 'IPATCH' ? 'iPATCH' : named[1].toUpperCase()
      }
      if (responseTopic !== undefined && message.isEmpty) return 'GET'
    }
    return this.effect
  }

  /** The method that stands for what relaying it does: DELETE for what takes a retained message away, else PUT. */
  get effect(): string {
    return this.message.retain && this.message.isEmpty ? 'DELETE' : 'PUT'
  }

  /** True for a request whose outcome is an answer and the state of a path, and no delivery of the message itself. */
  get isRequest(): boolean {
    return this.topic.answersGet && this.message.properties.length > 0 && this.properties.responseTopic !== undefined
  }

  headers(): string[] {
    return headersOf(this.properties.userProperties ?? [], 'method')
  }

  hasPrecondition(): boolean {
    return this.message.properties.length > 0 && hasPreconditionField(this.headers())
  }

  contentType(): string {
    return this.properties.contentType ?? ''
  }

  body(): Body {
    const { bytes, isEmpty, payloadStart, payloadEnd } = this.message
    return isEmpty ? null : byteBody(bytes, payloadStart, payloadEnd)
  }

  /** Puts the keys of a PUBLISH on its context. */
  describe(context: Context): void {
    const { message } = this
    context['mqtt.Topic'] = message.topic
    context['mqtt.Qos'] = message.qos
    context['mqtt.Retain'] = message.retain
    context['mqtt.Dup'] = this.dup
    if (this.isWill) context['mqtt.IsWill'] = true
    if (message.properties.length === 0) return
    const { responseTopic, correlationData } = this.properties
    if (responseTopic !== undefined) context['mqtt.ResponseTopic'] = responseTopic
    if (correlationData !== undefined) context['mqtt.CorrelationData'] = correlationData
  }
}

const NO_PROPERTIES: MessageProperties = {}
