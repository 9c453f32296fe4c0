import type { ByteChannel, ByteNetwork } from '@iopa/transport'
import type { Ledger } from './ledger.ts'
import {
  acknowledge,
  type Connect,
  connect,
  disconnect,
  PACKET,
  type Packet,
  PacketReader,
  type Publish,
  publish,
  type Subscribe,
  subscribe,
  unsubscribe
} from './mqtt-packets.ts'
import { LASTING, type Outgoing, type SessionModel, type SubscriptionModel, type Token } from './sessions.ts'

/** Messages that one client leaves unacknowledged; the broker allows 64. */
const MOST_OUTGOING = 40

/** One connection of one MQTT client: it speaks the protocol, and tells the ledger what it sends and gets. */
export class MqttClient {
  readonly #ledger: Ledger
  readonly #form: Connect
  readonly stream: number
  readonly #reader: PacketReader
  readonly #will: Token | null
  #channel: ByteChannel | null = null
  session: SessionModel | null = null
  closed = false
  #how: 'killed' | 'left' | 'by broker' = 'by broker'
  #code = 0
  /** Acknowledgements that are held back; null sends them at once. */
  #held: Packet[] | null = null
  readonly #subscribing: Map<number, SubscriptionModel> = new Map()
  readonly #unsubscribing: Map<number, { filter: string; sentAt: number }> = new Map()
  #expiry: number

  constructor(ledger: Ledger, stream: number, form: Connect, network: ByteNetwork, port: number) {
    this.#ledger = ledger
    this.stream = stream
    this.#reader = new PacketReader(form.version)
    this.#expiry = form.version === 5 ? form.expiry : form.clean ? 0 : LASTING
    const { userName, clientId, clean } = form
    this.#will = ledger.connecting(userName, clientId, clean, stream, form.will)
    this.#form = form.will === null ? form : { ...form, will: { ...form.will, payload: `@${this.#will?.id}@` } }
    network.connect({ host: '127.0.0.1', port }).then(
      channel => this.#open(channel),
      () => this.#close()
    )
  }

  get version(): 3 | 4 | 5 {
    return this.#form.version
  }

  get isOpen(): boolean {
    return this.session !== null && !this.closed
  }

  get user(): string {
    return this.#form.userName
  }

  #open(channel: ByteChannel): void {
    this.#channel = channel
    channel.open({ data: chunk => this.#data(chunk), end: () => channel.end(), drain: () => undefined, close: () => this.#close() })
    if (this.closed) channel.destroy()
    else this.#write(connect(this.#form))
  }

  #write(bytes: Buffer): void {
    this.#channel?.write(bytes)
  }

  #data(chunk: Uint8Array): void {
    for (const packet of this.#reader.read(chunk)) {
      if (this.closed) return
      this.#packet(packet)
    }
  }

  #packet(packet: Packet): void {
    const session = this.session
    if (session === null) {
      if (packet.type !== PACKET.CONNACK) this.#ledger.fault(`${this.#form.clientId}: a packet of type ${packet.type} before CONNACK`)
      else if (packet.code === 0) this.#connected(packet)
      else this.#code = packet.code
      return
    }
    switch (packet.type) {
      case PACKET.PUBLISH:
        this.#received(session, packet)
        break
      case PACKET.PUBREL:
        session.incoming.delete(packet.packetId)
        this.#write(acknowledge(PACKET.PUBCOMP, packet.packetId))
        break
      case PACKET.PUBACK:
      case PACKET.PUBREC:
        this.#acknowledged(session, packet)
        break
      case PACKET.PUBCOMP:
        session.outgoing.delete(packet.packetId)
        break
      case PACKET.SUBACK: {
        const subscription = this.#subscribing.get(packet.packetId)
        if (subscription) this.#ledger.subscriptions.subscribed(session, subscription, packet.code)
        break
      }
      case PACKET.UNSUBACK: {
        const ended = this.#unsubscribing.get(packet.packetId)
        if (ended) this.#ledger.subscriptions.unsubscribed(session, ended.filter, ended.sentAt)
        break
      }
      case PACKET.DISCONNECT:
        this.#code = packet.code
    }
  }

  #connected(packet: Packet): void {
    const { userName, clientId, clean } = this.#form
    // MQTT 3.1 has no such flag.
    const present = this.version === 3 ? this.#ledger.keeps(userName, clientId, clean) : packet.sessionPresent
    if (this.version === 3 && packet.sessionPresent) this.#ledger.fault(`${clientId}: MQTT 3.1 has no flag for a session that is present`)
    const session = this.#ledger.connected(userName, clientId, this.stream, present, this.#expiry, clean)
    this.session = session
    if (present === false) {
      session.outgoing.clear()
      session.incoming.clear()
    }
    // What was not acknowledged is sent again, in order (MQTT 5 section 4.4).
    for (const [packetId, outgoing] of session.outgoing) {
      // Without its properties it would be another message.
      if (this.version < 5 && (outgoing.message.method !== '' || outgoing.message.responseTopic !== '')) {
        session.outgoing.delete(packetId)
        continue
      }
      if (outgoing.released) this.#write(acknowledge(PACKET.PUBREL, packetId))
      else {
        if (outgoing.token) outgoing.token.resends++
        this.#write(publish(this.version, { ...outgoing.message, dup: true }))
      }
    }
  }

  #received(session: SessionModel, packet: Packet): void {
    const repeated = packet.qos === 2 && session.incoming.has(packet.packetId)
    if (!repeated) this.#ledger.receipts.received(session, packet, true)
    if (packet.qos === 2) session.incoming.add(packet.packetId)
    if (packet.qos === 0) return
    if (this.#held) this.#held.push(packet)
    else this.#acknowledge(session, packet)
  }

  #acknowledge(session: SessionModel, { qos, packetId, payload }: Packet): void {
    this.#write(acknowledge(qos === 1 ? PACKET.PUBACK : PACKET.PUBREC, packetId))
    session.settled.add(payload.replaceAll('@', ''))
  }

  #acknowledged(session: SessionModel, { type, packetId, code }: Packet): void {
    const outgoing = session.outgoing.get(packetId)
    if (outgoing === undefined) return
    if (outgoing.token) this.#ledger.published(outgoing.token, code, this.version)
    if (outgoing.clears && outgoing.clears.ackedAt < 0) outgoing.clears.ackedAt = this.#ledger.tick()
    if (type === PACKET.PUBACK || code >= 0x80) {
      session.outgoing.delete(packetId)
      return
    }
    outgoing.released = true
    this.#write(acknowledge(PACKET.PUBREL, packetId))
  }

  publish(wanted: Omit<Publish, 'payload' | 'packetId' | 'dup'>, empty: boolean): void {
    const form = this.version === 5 ? wanted : { ...wanted, method: '', expiry: 0 }
    const session = this.session
    if (session === null || this.closed || (form.qos > 0 && session.outgoing.size >= MOST_OUTGOING)) return
    // What is published to a state of users says nothing that is passed on.
    const token = empty || form.topic.startsWith('own/') ? null : this.#ledger.publishing(session, this.stream, form)
    const clears =
      empty && this.#ledger.rights.mayWrite(session.user, form.topic) ? { topic: form.topic, sentAt: this.#ledger.tick(), ackedAt: -1 } : null
    if (clears) this.#ledger.cleared.push(clears)
    const packetId = form.qos > 0 ? this.#packetId(session) : 0
    const message: Publish = { ...form, payload: token !== null ? `@${token.id}@` : empty ? '' : 'x', packetId, dup: false }
    if (form.qos > 0) session.outgoing.set(packetId, { message, token, clears, released: false })
    this.#write(publish(this.version, message))
  }

  /** Asks a handler for an answer to a Response Topic. */
  ask(path: string, responseTopic: string, qos: number): void {
    const session = this.session
    if (session === null || this.closed || this.version < 5 || session.outgoing.size >= MOST_OUTGOING) return
    const token = this.#ledger.mint('reply', responseTopic, session.user, { session, stream: this.stream, qos })
    const packetId = qos > 0 ? this.#packetId(session) : 0
    const message: Publish = {
      topic: path,
      payload: `ask ${token.id}`,
      qos,
      retain: false,
      dup: false,
      packetId,
      responseTopic,
      method: 'POST',
      expiry: 0
    }
    if (qos > 0) session.outgoing.set(packetId, { message, token: null, clears: null, released: false })
    this.#write(publish(this.version, message))
  }

  #packetId(session: SessionModel): number {
    do session.packetId = (session.packetId % 65_535) + 1
    while (session.outgoing.has(session.packetId) || this.#subscribing.has(session.packetId) || this.#unsubscribing.has(session.packetId))
    return session.packetId
  }

  subscribe(form: Subscribe): void {
    const session = this.session
    if (session === null || this.closed) return
    const wanted = {
      ...form,
      noLocal: form.noLocal && this.version === 5 && !form.filter.startsWith('$share'),
      retainHandling: this.version === 5 ? form.retainHandling : 0
    }
    const packetId = this.#packetId(session)
    this.#subscribing.set(packetId, this.#ledger.subscriptions.subscribing(session, wanted))
    this.#write(subscribe(this.version, packetId, wanted))
  }

  unsubscribe(filter: string): void {
    const session = this.session
    if (session === null || this.closed) return
    const packetId = this.#packetId(session)
    this.#ledger.subscriptions.unsubscribing(session, filter)
    this.#unsubscribing.set(packetId, { filter, sentAt: this.#ledger.tick() })
    this.#write(unsubscribe(this.version, packetId, filter))
  }

  /** Leaves with a DISCONNECT; `expiry` ends the session at once when it is 0, and -1 changes nothing. */
  leave(expiry: number): void {
    const session = this.session
    if (session === null || this.closed) return
    if (this.version === 5 && expiry === 0) session.expiry = this.#expiry = 0
    this.#write(disconnect(this.version, 0, this.version === 5 ? expiry : -1))
    this.#channel?.resume()
    this.#channel?.end()
    this.#how = 'left'
    // Before MQTT 5 a message that is refused ends the connection, maybe before the DISCONNECT comes.
    if (this.#will && this.version < 5 && session.outgoing.size > 0) this.#will.fate = 'may'
    this.#close()
  }

  kill(): void {
    this.#channel?.destroy()
    if (!this.closed) this.#how = 'killed'
    this.#close()
  }

  pause(): void {
    this.#channel?.pause()
  }

  resume(): void {
    this.#channel?.resume()
  }

  /** Keeps acknowledgements back. */
  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = null
    if (this.session && !this.closed) for (const packet of held) this.#acknowledge(this.session, packet)
  }

  #close(): void {
    if (this.closed) return
    this.closed = true
    const { session } = this
    if (session !== null) {
      this.#ledger.closed(session, this.stream, this.#how, this.#will, this.#code)
      this.#forgetRefused(session)
      return
    }
    if (this.#will) this.#will.fate = 'may'
    this.#ledger.notConnected(this.#form.userName, this.#form.clientId, this.#code !== 0)
  }

  /** What a client may not publish ends its connection before MQTT 5: sent again it would end the next one. */
  #forgetRefused(session: SessionModel): void {
    for (const [packetId, { token }] of session.outgoing as Map<number, Outgoing>) if (token && !token.allowed) session.outgoing.delete(packetId)
    session.expiry === 0 && session.outgoing.clear()
  }
}
