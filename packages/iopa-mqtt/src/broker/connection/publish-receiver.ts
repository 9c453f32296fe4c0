import type { Context, Endpoint, HeldBytes } from '@iopa/transport'
import { encodeReason } from '../../codec/message-properties.ts'
import { PACKET } from '../../codec/packet-types.ts'
import { ProtocolError } from '../../codec/protocol-error.ts'
import { decodePublish } from '../../codec/publish-decoder.ts'
import { REASON } from '../../codec/reason-codes.ts'
import { Publication, type PublicationOwner } from '../app/publication.ts'
import type { PublishHandler } from '../app/publish-handler.ts'
import type { Operation } from '../operation/operation.ts'
import type { PublishingConnection } from '../ports.ts'
import type { Session } from '../session/session.ts'
import { acknowledgesFailure } from '../status-codes.ts'
import { Message, type ReceivedPublish } from '../topics/message.ts'
import { TopicAliases, type TopicTable } from '../topics/topic-table.ts'

export interface PublishReceiverPorts {
  readonly operation: Pick<Operation, 'settings' | 'clock' | 'statistics'>
  readonly topics: TopicTable
  readonly publish: PublishHandler
  /** The memory for bodies of the app. */
  readonly bodies: HeldBytes | undefined
  /** Filled by each PUBLISH that is read. */
  readonly fields: ReceivedPublish
}

/**
 * Receives the PUBLISH packets of one connection. Messages to one topic are handled one after another, those to different topics concurrently;
 * acknowledgements are sent in the order of the messages (MQTT 5 section 4.6). Requests with a Response Topic to a path that is state are
 * handled concurrently, after the messages before them.
 */
export class PublishReceiver implements PublicationOwner {
  readonly scope: Context
  readonly endpoint: Endpoint
  readonly #connection: PublishingConnection
  readonly #session: Session
  readonly #ports: PublishReceiverPorts
  readonly #aliases: TopicAliases
  /** Messages of QoS 1 and 2 in the order in which they came, until they are acknowledged. */
  readonly #unacknowledged: Publication[] = []
  /** Topics with a message in work, and the messages that wait behind it. */
  #busy: Map<string, Publication[]> | null = null
  /** Messages that were received and are not settled. */
  inWork = 0
  /** Messages in work that no receive maximum bounds: QoS 0, and before MQTT 5 every message. */
  #unbounded = 0
  #unboundedBytes = 0
  #starting: Publication | null = null
  #waitsForMemory = false

  /** `connection` is accepted. */
  constructor(connection: PublishingConnection, session: Session, ports: PublishReceiverPorts) {
    this.scope = connection.context as Context
    this.endpoint = connection.endpoint as Endpoint
    this.#connection = connection
    this.#session = session
    this.#ports = ports
    this.#aliases = new TopicAliases(ports.topics, ports.operation.settings.topicAliasMaximum)
  }

  /**
   * True while further packets are read. A client of MQTT 5 is read on: its receive maximum bounds it, and a message that a handler waits for
   * may be among its packets.
   */
  get reads(): boolean {
    const { limits } = this.#ports.operation.settings
    return this.#unbounded < limits.inFlightPerConnection && this.#unboundedBytes < UNBOUNDED_BYTES && this.#hasMemory
  }

  /** Takes a PUBLISH; false if the connection has as many in work as it may have. */
  receive(bytes: Buffer, start: number, body: number, end: number): boolean {
    const connection = this.#connection
    const { version } = connection
    const { operation, fields, bodies } = this.#ports
    const { statistics } = operation
    decodePublish(bytes, start, body, end, version, operation.settings.limits.headerCount, fields)
    statistics.receive(fields.qos, end - fields.payloadStart)
    const { qos, packetId } = fields
    const { receipts } = this.#session
    const open = this.#unacknowledged.length + receipts.size
    if (qos > 0 && version === 5 && open >= operation.settings.limits.inFlightPerConnection) this.#checkReceiveMaximum()
    if (qos === 2 && this.#isDuplicate(packetId)) return true
    const topic = this.#aliases.topicOf(bytes, fields)
    if (topic === null) {
      this.#refuseTopic(qos, packetId)
      return true
    }
    fields.bytes = bytes
    fields.payloadEnd = end
    fields.expiresAt = fields.messageExpiryInterval < 0 ? 0 : operation.clock.elapsed() + fields.messageExpiryInterval * 1000
    fields.publisher = this.#session
    const message = new Message(topic, fields)
    const { size } = message
    if (fields.forwardable) message.forward(version === 5 ? 5 : 3, start, end)
    const publication = new Publication(this.#session, topic, message, this)
    publication.packetId = packetId
    publication.dup = fields.dup
    if (qos > 0) this.#unacknowledged.push(publication)
    if (qos === 2) receipts.begin(packetId)
    this.inWork++
    if (qos === 0 || version < 5) {
      this.#unbounded++
      this.#unboundedBytes += size
    }
    this.#begin(publication)
    if (!publication.settled) {
      publication.waited = true
      if (bodies !== undefined && size > UNCOUNTED) holdMemory(publication, bodies)
      connection.counted.busy(this.inWork)
    }
    return (this.#unbounded === 0 && bodies?.tight !== true) || this.reads
  }

  /** PUBREL: the client will not send this message again. */
  release(packetId: number): void {
    const connection = this.#connection
    const session = this.#session
    session.receipts.release(packetId, outcome => {
      if (outcome === 'failed') connection.disconnectSilently()
      else {
        // The client may have reconnected meanwhile, and waits on its new connection.
        const answering = outcome === 'unknown' ? connection : (session.connection ?? connection)
        const reasonCode = outcome === 'unknown' && connection.version === 5 ? REASON.PACKET_IDENTIFIER_NOT_FOUND : REASON.SUCCESS
        answering.sender.acknowledge(PACKET.PUBCOMP, packetId, reasonCode, null)
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
    this.inWork--
    const { message } = publication
    publication.giveBack?.()
    if (message.qos === 0 || this.#connection.version < 5) {
      this.#unbounded--
      this.#unboundedBytes -= message.size
    }
    if (message.qos > 0) this.#acknowledge(publication)
    if (!publication.waited) return
    const connection = this.#connection
    connection.counted.busy(this.inWork)
    if (connection.reader.paused) connection.proceed()
    if (this.inWork === 0 && connection.disconnected) connection.endScope()
  }

  #begin(publication: Publication): void {
    const topic = publication.topic.name
    const waiting = this.#busy?.get(topic)
    if (waiting === undefined && publication.message.properties.length > 0 && publication.isRequest) this.#startAside(publication)
    else if (waiting) {
      publication.waited = true
      waiting.push(publication)
    } else if (!this.#start(publication)) {
      this.#busy ??= new Map()
      this.#busy.set(topic, [])
    }
  }

  /** True if its handler has finished at once. */
  #start(publication: Publication): boolean {
    const outer = this.#starting
    this.#starting = publication
    this.#ports.publish.start(publication)
    this.#starting = outer
    return publication.handled
  }

  /** Starts a request that no later message waits for: subscribers get the newest state, so its order does not matter. */
  #startAside(publication: Publication): void {
    publication.aside = true
    this.#start(publication)
  }

  /** Starts the messages that wait for a topic, in a loop: many that are handled at once must not nest. */
  #next(topic: string): void {
    const waiting = this.#busy?.get(topic)
    if (!waiting) return
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (next.isRequest) this.#startAside(next)
      else if (!this.#start(next)) return
    }
    this.#busy?.delete(topic)
  }

  /** True if the memory for bodies has room for this user; otherwise reading continues when bodies have been released. */
  get #hasMemory(): boolean {
    const { bodies } = this.#ports
    if (bodies === undefined || !bodies.tight || bodies.hasRoom(bodies.ownerOf(this.scope), 1)) return true
    if (!this.#waitsForMemory) {
      this.#waitsForMemory = true
      bodies.whenFreed(() => {
        this.#waitsForMemory = false
        this.#connection.proceed()
      })
    }
    return false
  }

  #acknowledge(publication: Publication): void {
    const queue = this.#unacknowledged
    if (this.#ports.operation.settings.ackOrder === 'any') {
      queue.splice(queue.indexOf(publication), 1)
      this.#answer(publication)
      return
    }
    let sent = 0
    while (sent < queue.length && (queue[sent] as Publication).settled) this.#answer(queue[sent++] as Publication)
    if (sent > 0) queue.splice(0, sent)
  }

  #answer(publication: Publication): void {
    const { packetId, reasonCode } = publication
    const { receipts } = this.#session
    const exactlyOnce = publication.message.qos === 2
    // A client that reconnected meanwhile waits for PUBREC on its new connection; a message that it sends again is not handled again.
    const connection = (exactlyOnce ? this.#session.connection : null) ?? this.#connection
    const { version } = connection
    const failed = reasonCode >= REASON.UNSPECIFIED_ERROR
    if (version < 5 && failed && !publication.dropped && !acknowledgesFailure(publication.status, this.#ports.operation.settings.refusal)) {
      if (exactlyOnce) receipts.forget(packetId)
      connection.disconnectSilently()
      return
    }
    if (reasonCode === REASON.PACKET_TOO_LARGE) {
      connection.disconnect(REASON.PACKET_TOO_LARGE, publication.reason)
      return
    }
    if (exactlyOnce) {
      if (failed && version === 5) receipts.forget(packetId)
      else receipts.acknowledge(packetId, reasonCode)
    }
    const details = version === 5 ? detailsOf(publication) : null
    connection.sender.acknowledge(exactlyOnce ? PACKET.PUBREC : PACKET.PUBACK, packetId, reasonCode, details)
  }

  /** More unacknowledged messages than the receive maximum end the connection (MQTT 5 section 3.3.4). */
  #checkReceiveMaximum(): void {
    const { receipts } = this.#session
    let open = this.#unacknowledged.length
    if (receipts.size > 0) {
      // QoS 2 messages that were acknowledged and not released.
      open += receipts.size
      for (const { message } of this.#unacknowledged) if (message.qos === 2) open--
    }
    if (open >= this.#ports.operation.settings.limits.inFlightPerConnection)
      throw new ProtocolError(REASON.RECEIVE_MAXIMUM_EXCEEDED, 'more messages are unacknowledged than the receive maximum allows')
  }

  #isDuplicate(packetId: number): boolean {
    const reasonCode = this.#session.receipts.find(packetId)
    if (reasonCode === undefined) return false
    if (reasonCode !== null) this.#connection.sender.acknowledge(PACKET.PUBREC, packetId, reasonCode, null)
    return true
  }

  /** A topic with wildcards, or beyond the limits. */
  #refuseTopic(qos: number, packetId: number): void {
    const connection = this.#connection
    if (connection.version < 5 || qos === 0) throw new ProtocolError(REASON.TOPIC_NAME_INVALID, 'the topic name is not valid here')
    connection.sender.acknowledge(qos === 2 ? PACKET.PUBREC : PACKET.PUBACK, packetId, REASON.TOPIC_NAME_INVALID, null)
  }
}

/** Bytes of messages in work that no receive maximum bounds. */
const UNBOUNDED_BYTES = 1024 * 1024
/** Bytes of a message that is not counted with the bodies of the app: the number of messages bounds those. */
const UNCOUNTED = 16 * 1024

/** Counts a message with the bodies of the app until it is settled. */
function holdMemory(publication: Publication, bodies: HeldBytes): void {
  const { size } = publication.message
  const owner = bodies.ownerOf(publication.scope)
  bodies.take(owner, size)
  publication.giveBack = () => bodies.give(owner, size)
}

function detailsOf({ status, reason, session, dropped }: Publication): Buffer | null {
  if (status === 0 || dropped) return null
  const { connection } = session
  if (connection === null || !connection.sender.wantsProblems) return null
  return reason === '' ? statusDetails(status) : encodeReason(reason, [['status', String(status)]])
}

const STATUS_DETAILS = new Map<number, Buffer | null>()

function statusDetails(status: number): Buffer | null {
  let details = STATUS_DETAILS.get(status)
  if (details === undefined) STATUS_DETAILS.set(status, (details = encodeReason('', [['status', String(status)]])))
  return details
}
