import type { Context } from '@iopa/transport'
import { encodeReason } from '../codec/message-properties.ts'
import { PACKET } from '../codec/packet-types.ts'
import { ProtocolError } from '../codec/protocol-error.ts'
import { decodePublish } from '../codec/publish-decoder.ts'
import { REASON } from '../codec/reason-codes.ts'
import type { Connection } from './connection.ts'
import { IntakeRoom } from './intake-room.ts'
import { Message } from './message.ts'
import { Publication, type PublicationOwner } from './publication.ts'
import { IN_WORK, RELEASING, type Session } from './session.ts'
import { acknowledgesFailure } from './status.ts'
import { TopicNames } from './topic-names.ts'

/**
 * The messages that come in on one connection: their topic aliases, how many are in work, the order of their acknowledgements. Messages
 * to one topic are handled one after another, those to different topics side by side (MQTT 5 section 4.6). Requests with a Response Topic to a path whose
 * subscribers get its state and not the messages are handled side by side, after the messages before them.
 */
export class Intake implements PublicationOwner {
  readonly #connection: Connection
  readonly #session: Session
  readonly #names: TopicNames
  /** Messages of QoS 1 and 2 in the order they came, until their acknowledgement leaves. */
  #unacknowledged: Publication[] = []
  /** Topics with a message in work, and what waits behind it. */
  #busy: Map<string, Publication[]> | null = null
  #inWork = 0
  /** Of these, what no receive maximum bounds: QoS 0, and before MQTT 5 every message. */
  #unbounded = 0
  #unboundedBytes = 0
  #starting: Publication | null = null
  readonly #room: IntakeRoom

  constructor(connection: Connection, session: Session) {
    this.#connection = connection
    this.#session = session
    this.#names = new TopicNames(connection.broker)
    this.#room = new IntakeRoom(connection)
  }

  /** Messages that have been taken and not settled. */
  get inWork(): number {
    return this.#inWork
  }

  /** True while further packets are read. A client of MQTT 5 is read on, since its receive maximum bounds it: what handlers wait for may be among its packets. */
  get reads(): boolean {
    return this.#unbounded < this.#connection.broker.limits.inFlightPerConnection && this.#unboundedBytes < UNBOUNDED_BYTES && this.#room.left
  }

  /** Takes a PUBLISH; false when the connection has as many in work as it may have. */
  receive(bytes: Buffer, start: number, body: number, end: number): boolean {
    const connection = this.#connection
    const { broker, version } = connection
    const fields = broker.fields
    decodePublish(bytes, start, body, end, version, broker.limits.headerCount, fields)
    broker.counters.received++
    broker.counters.payloadReceived += end - fields.payloadStart
    const { qos, packetId } = fields
    if (qos > 0 && version === 5) this.#checkReceiveMaximum()
    if (qos === 2 && this.#isDuplicate(packetId)) return true
    const topic = this.#names.topicOf(bytes, fields)
    if (topic === null) {
      this.#refuseTopic(qos, packetId)
      return true
    }
    const expiresAt = fields.messageExpiryInterval < 0 ? 0 : broker.elapsed() + fields.messageExpiryInterval * 1000
    const message = new Message(
      topic.name,
      topic.bytes,
      bytes,
      fields.payloadStart,
      end,
      qos,
      fields.retain,
      fields.properties,
      expiresAt,
      this.#session
    )
    if (fields.forwardable) message.forward(version === 5 ? 5 : 3, start, end)
    const publication = new Publication(this.#session, connection.context as Context, topic, message, packetId, fields.dup, false, this)
    if (qos > 0) this.#unacknowledged.push(publication)
    if (qos === 2) (this.#session.received ??= new Map()).set(packetId, IN_WORK)
    this.#inWork++
    if (qos === 0 || version < 5) {
      this.#unbounded++
      this.#unboundedBytes += message.size
    }
    this.#begin(publication)
    return this.reads
  }

  /** PUBREL: the client will not send this message again. */
  release(packetId: number): void {
    const session = this.#session
    const known = session.received?.get(packetId)
    // A release of what is still in work is against the protocol, and harmless: PUBREC has not been sent. One that is being stored is answered then.
    if (known === IN_WORK || known === RELEASING) return
    const connection = this.#connection
    if (known === undefined) {
      connection.sender.acknowledge(PACKET.PUBCOMP, packetId, connection.version === 5 ? REASON.PACKET_IDENTIFIER_NOT_FOUND : REASON.SUCCESS, null)
      return
    }
    const released = (): void => {
      session.received?.delete(packetId)
      // The client may have come back meanwhile, and waits on its new connection.
      const answering = session.connection ?? connection
      answering.sender.acknowledge(PACKET.PUBCOMP, packetId, REASON.SUCCESS, null)
    }
    if (!session.stored) {
      released()
      return
    }
    const { journal } = connection.broker
    session.received?.set(packetId, RELEASING)
    journal.add({ kind: 'received', clientId: session.key, packetId, value: null })
    // With the receipt in the store, the next message of this identifier would count as this one after a restart.
    journal.kept(kept => {
      if (kept) released()
      else {
        session.received?.set(packetId, known)
        connection.abandon()
      }
    })
  }

  handled(publication: Publication): void {
    if (publication.handled) return
    publication.handled = true
    if (this.#busy !== null && this.#starting !== publication && !publication.aside) this.#next(publication.topic.name)
  }

  done(publication: Publication): void {
    if (publication.settled) return
    publication.settled = true
    this.#inWork--
    const { message } = publication
    publication.giveBack?.()
    if (message.qos === 0 || this.#connection.version < 5) {
      this.#unbounded--
      this.#unboundedBytes -= message.size
    }
    if (message.qos > 0) this.#acknowledge(publication)
    if (publication.waited) this.#connection.workChanged(this.#inWork)
  }

  #begin(publication: Publication): void {
    const topic = publication.topic.name
    const waiting = this.#busy?.get(topic)
    if (waiting === undefined && publication.isRequest) {
      this.#startAside(publication)
    } else if (waiting) {
      publication.waited = true
      waiting.push(publication)
    } else if (!this.#start(publication)) {
      this.#busy ??= new Map()
      this.#busy.set(topic, [])
    }
    if (publication.settled) return
    publication.waited = true
    this.#room.count(publication)
    this.#connection.workChanged(this.#inWork)
  }

  /** True when its handler has finished at once. */
  #start(publication: Publication): boolean {
    const outer = this.#starting
    this.#starting = publication
    this.#connection.broker.publishing.start(publication)
    this.#starting = outer
    return publication.handled
  }

  /** Begins a request that nothing waits for: none of it is delivered in its order, for what subscribers get is the newest state. */
  #startAside(publication: Publication): void {
    publication.aside = true
    this.#start(publication)
  }

  /** Begins what waits for a topic. Those that are handled at once are taken in a loop, so that a long row of them does not nest. */
  #next(topic: string): void {
    const waiting = this.#busy?.get(topic)
    if (!waiting) return
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (next.isRequest) this.#startAside(next)
      else if (!this.#start(next)) return
    }
    this.#busy?.delete(topic)
  }

  #acknowledge(publication: Publication): void {
    const connection = this.#connection
    const queue = this.#unacknowledged
    if (connection.broker.options.ackOrder === 'any') {
      queue.splice(queue.indexOf(publication), 1)
      this.#answer(publication)
      return
    }
    // Acknowledgements leave in the order in which the messages came (MQTT 5 section 4.6).
    let sent = 0
    while (sent < queue.length && (queue[sent] as Publication).settled) this.#answer(queue[sent++] as Publication)
    if (sent > 0) queue.splice(0, sent)
  }

  #answer(publication: Publication): void {
    const { packetId, reasonCode } = publication
    const exactlyOnce = publication.message.qos === 2
    // A client that came back meanwhile waits for the PUBREC on its new connection; what it sends again is not handled again.
    const connection = (exactlyOnce ? this.#session.connection : null) ?? this.#connection
    const failed = reasonCode >= REASON.UNSPECIFIED_ERROR
    if (connection.version < 5 && failed && !publication.dropped && !acknowledgesFailure(publication.status, connection.broker.options.refusal)) {
      if (exactlyOnce) this.#session.received?.delete(packetId)
      connection.abandon()
      return
    }
    if (reasonCode === REASON.PACKET_TOO_LARGE) {
      connection.disconnect(REASON.PACKET_TOO_LARGE, publication.reason)
      return
    }
    if (exactlyOnce) {
      if (reasonCode >= REASON.UNSPECIFIED_ERROR && connection.version === 5) this.#session.received?.delete(packetId)
      else this.#session.received?.set(packetId, reasonCode)
    }
    connection.sender.acknowledge(
      exactlyOnce ? PACKET.PUBREC : PACKET.PUBACK,
      packetId,
      reasonCode,
      connection.version === 5 ? this.#detailsOf(publication) : null
    )
  }

  #detailsOf({ status, reason, session, dropped }: Publication): Buffer | null {
    if (status === 0 || dropped) return null
    const connection = session.connection
    if (connection === null || !connection.sender.wantsProblems) return null
    return reason === '' ? statusDetails(status) : encodeReason(reason, [['status', String(status)]])
  }

  /** More messages of QoS 1 and 2 than were allowed end the connection (MQTT 5 section 3.3.4). */
  #checkReceiveMaximum(): void {
    const open = this.#unacknowledged.length + this.#released()
    if (open >= this.#connection.broker.limits.inFlightPerConnection) {
      throw new ProtocolError(REASON.RECEIVE_MAXIMUM_EXCEEDED, 'more messages are unacknowledged than the receive maximum allows')
    }
  }

  /** QoS 2 messages that were acknowledged and not released. */
  #released(): number {
    const received = this.#session.received
    if (received === null || received.size === 0) return 0
    let inWork = 0
    for (const publication of this.#unacknowledged) if (publication.message.qos === 2) inWork++
    return received.size - inWork
  }

  #isDuplicate(packetId: number): boolean {
    const received = this.#session.received
    const known = received?.get(packetId)
    if (known === undefined) {
      // Before MQTT 5 nothing but this bounds what a client may leave unreleased.
      if (received !== null && received.size >= MAX_UNRELEASED)
        throw new ProtocolError(REASON.RECEIVE_MAXIMUM_EXCEEDED, 'too many messages are unreleased')
      return false
    }
    if (known !== IN_WORK && known !== RELEASING) this.#connection.sender.acknowledge(PACKET.PUBREC, packetId, known, null)
    return true
  }

  /** A topic with wildcards, or beyond the limits. */
  #refuseTopic(qos: number, packetId: number): void {
    const connection = this.#connection
    if (connection.version < 5 || qos === 0) throw new ProtocolError(REASON.TOPIC_NAME_INVALID, 'the topic name is not valid here')
    connection.sender.acknowledge(qos === 2 ? PACKET.PUBREC : PACKET.PUBACK, packetId, REASON.TOPIC_NAME_INVALID, null)
  }
}

const MAX_UNRELEASED = 1024
/** Bytes of messages in work that no receive maximum bounds. */
const UNBOUNDED_BYTES = 1024 * 1024

const STATUS_DETAILS = new Map<number, Buffer | null>()

function statusDetails(status: number): Buffer | null {
  let details = STATUS_DETAILS.get(status)
  if (details === undefined) STATUS_DETAILS.set(status, (details = encodeReason('', [['status', String(status)]])))
  return details
}
