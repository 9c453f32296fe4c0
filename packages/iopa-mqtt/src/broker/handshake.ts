import { randomBytes } from 'node:crypto'
import { type Context, isUnrouted } from '@iopa/transport'
import { protocolVersionOf } from '../codec/connect-decoder.ts'
import { decodeMessageProperties } from '../codec/message-properties.ts'
import { encodeAuth, encodeConnack } from '../codec/packet-encoder.ts'
import type { AuthPacket, ConnectPacket } from '../codec/packets.ts'
import { ProtocolError } from '../codec/protocol-error.ts'
import { REASON } from '../codec/reason-codes.ts'
import { isTopicName } from '../topics/topic.ts'
import type { Connection } from './connection.ts'
import { MqttEndpoint } from './endpoint.ts'
import { userKeyOf } from './identity.ts'
import { connectHeaders, HeaderSource } from './requests.ts'
import { FOREVER } from './session.ts'
import { connectReasonOf, REFUSED_CLIENT_IDENTIFIER, REFUSED_PROTOCOL_VERSION } from './status.ts'
import { PendingWill } from './wills.ts'

/**
 * A CONNECT on its way through the pipeline, and the AUTH packets that may follow (MQTT 5 sections 3.1, 4.12). Authentication is
 * ordinary middleware: a status of 400 and more refuses. A 401 with `www-authenticate: <method>` whose body is the server's data asks
 * for one more step of that method; the client's next data comes as another CONNECT context within the first.
 */
export class Handshake {
  readonly #connection: Connection
  #packet: ConnectPacket | null = null
  #clientId = ''
  #assigned = false
  #abandoned = false
  /** True once middleware has looked at the authentication method, or asked for a further step of it. */
  #methodKnown = false
  /** True while the client is to send AUTH. */
  expects = false
  /** True while the pipeline has the last step. */
  #asked = false
  /** The run that has set the user. */
  #authenticated: Context | null = null

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Takes the first packet of a connection. */
  start(bytes: Buffer, start: number, body: number, end: number): void {
    const packet = this.#read(bytes, start, body, end)
    if (packet === null) return
    const connection = this.#connection
    const { broker, channel } = connection
    this.#packet = packet
    connection.sender.version = packet.protocolVersion
    connection.bridge = packet.bridge
    if (packet.clientId === '' && packet.protocolVersion < 5 && !(packet.protocolVersion === 4 && packet.cleanStart)) {
      connection.refuse(REFUSED_CLIENT_IDENTIFIER)
      return
    }
    if (packet.will !== null && !isTopicName(packet.will.topic)) {
      connection.refuse(packet.protocolVersion === 5 ? REASON.TOPIC_NAME_INVALID : connectReasonOf(403, packet.protocolVersion))
      return
    }
    const responseTopic = packet.will === null ? undefined : decodeMessageProperties(packet.will.properties).responseTopic
    if (responseTopic !== undefined && !isTopicName(responseTopic)) {
      connection.refuse(REASON.TOPIC_NAME_INVALID, { reasonString: "the will's Response Topic is not a topic name" })
      return
    }
    this.#assigned = packet.clientId === ''
    this.#clientId = this.#assigned ? `iopa-${randomBytes(12).toString('base64url')}` : packet.clientId
    const endpoint = new MqttEndpoint(channel, packet.protocolVersion, this.#clientId, broker.limits.body)
    connection.endpoint = endpoint
    const source = new HeaderSource(connectHeaders(packet.userName, packet.password, packet.userProperties))
    const context = broker.requests.control('CONNECT', '/', endpoint, source)
    connection.context = context
    connection.source = source
    context['mqtt.ClientId'] = this.#clientId
    context['mqtt.ProtocolVersion'] = packet.protocolVersion
    context['mqtt.CleanStart'] = packet.cleanStart
    context['mqtt.KeepAlive'] = packet.keepAlive
    if (packet.userName !== null) context['mqtt.UserName'] = packet.userName
    if (packet.password !== null) context['mqtt.Password'] = packet.password
    this.#run(context, packet.authenticationMethod, packet.authenticationData)
  }

  /** The client's next step of an authentication. */
  proceed(packet: AuthPacket): void {
    this.expects = false
    const method = this.#packet?.authenticationMethod ?? null
    if (packet.reasonCode !== REASON.CONTINUE_AUTHENTICATION || packet.authenticationMethod !== method) {
      throw new ProtocolError(REASON.PROTOCOL_ERROR, 'the authentication goes on with another method')
    }
    this.#step(method, packet.authenticationData)
  }

  /** An authentication anew while the connection is open (section 4.12.1); the session goes on meanwhile. */
  reauthenticate(packet: AuthPacket): void {
    const connection = this.#connection
    const method = connection.authenticationMethod
    const expected = this.expects ? REASON.CONTINUE_AUTHENTICATION : REASON.REAUTHENTICATE
    if (method === null || packet.authenticationMethod !== method || packet.reasonCode !== expected) {
      throw new ProtocolError(REASON.PROTOCOL_ERROR, 'this client cannot authenticate again like this')
    }
    this.expects = false
    this.#step(method, packet.authenticationData)
  }

  /** True while an authentication has no outcome. */
  get underWay(): boolean {
    return this.expects || this.#asked
  }

  /** The connection is gone; what the pipeline still says is ignored. */
  abandon(): void {
    this.#abandoned = true
  }

  #read(bytes: Buffer, start: number, body: number, end: number): ConnectPacket | null {
    const connection = this.#connection
    try {
      connection.sender.version = protocolVersionOf(bytes, body, end)
      const packet = connection.broker.decoder.decode(bytes, start, body, end, connection.version)
      if (packet.type === 'CONNECT') return packet
      connection.destroy()
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      // A version that is not spoken is refused in the words of 3.1.1, which every client reads (3.1.1 section 3.1.2.2).
      if (error.reasonCode === REASON.UNSUPPORTED_PROTOCOL_VERSION) {
        connection.sender.version = 4
        connection.refuse(REFUSED_PROTOCOL_VERSION)
      } else if (connection.version === 5) connection.refuse(error.reasonCode, { reasonString: error.message })
      else connection.destroy()
    }
    return null
  }

  #step(method: string | null, data: Buffer | null): void {
    const { broker, context, endpoint } = this.#connection
    if (context === null || endpoint === null) return
    this.#run(broker.requests.control('CONNECT', '/', endpoint, null, context), method, data)
  }

  #run(context: Context, method: string | null, data: Buffer | null): void {
    if (method !== null) {
      // Middleware that does not know enhanced authentication would accept a method that it has never looked at.
      const look = (): string => {
        this.#methodKnown = true
        return method
      }
      Object.defineProperty(context, 'mqtt.AuthenticationMethod', { get: look, enumerable: true, configurable: true })
    }
    if (data !== null) context['mqtt.AuthenticationData'] = data
    const { broker } = this.#connection
    this.#asked = true
    broker.host.run(context, () => {
      this.#asked = false
      if (this.#abandoned) return
      broker.flusher.batch(() => this.#outcome(context, method))
    })
  }

  #outcome(context: Context, method: string | null): void {
    const connection = this.#connection
    const answer = context.response
    const { status } = answer
    const first = connection.context as Context
    // The credentials were for this run alone.
    if (first['mqtt.UserName'] !== undefined) first['mqtt.UserName'] = undefined
    if (first['mqtt.Password'] !== undefined) first['mqtt.Password'] = undefined
    const step = context !== first
    if (isUnrouted(context) || answer.ok) {
      const user = context['server.User']
      if (connection.session !== null && userKeyOf(user) !== connection.session.user) {
        void context.end()
        connection.disconnect(REASON.NOT_AUTHORIZED, 'a client cannot become another user; connect again')
        return
      }
      if (step) {
        first['server.User'] = user
        void context.end()
      }
      this.#authenticated = context
      this.#accepted(method)
      return
    }
    if (status === 401 && method !== null && answer.headers.get('www-authenticate')?.split(' ', 1)[0] === method && !answer.isStream) {
      const data = answer.isProblem ? undefined : Buffer.from(answer.payloadBytes)
      if (step) void context.end()
      this.expects = true
      this.#methodKnown = true
      connection.sender.send(encodeAuth(REASON.CONTINUE_AUTHENTICATION, method, data))
      connection.proceed()
      return
    }
    if (step) void context.end()
    const reason = answer.error?.detail ?? ''
    if (connection.isOpen) connection.disconnect(REASON.NOT_AUTHORIZED, reason)
    else connection.refuse(connectReasonOf(status, connection.version), reason === '' ? {} : { reasonString: reason })
  }

  #accepted(method: string | null): void {
    const connection = this.#connection
    if (connection.isOpen) {
      connection.sender.send(encodeAuth(REASON.SUCCESS, method ?? '', undefined))
      connection.broker.sessions.userChanged(connection)
      this.#watchUser()
      return
    }
    const packet = this.#packet as ConnectPacket
    const { broker } = connection
    if (method !== null && !this.#methodKnown) {
      connection.refuse(REASON.BAD_AUTHENTICATION_METHOD)
      return
    }
    // A client that takes no CONNACK cannot be told anything.
    if (this.#connack(packet, false, this.#expiryInterval(packet)).length > packet.maximumPacketSize) {
      connection.destroy()
      return
    }
    const room = broker.sessions.open(
      connection,
      this.#clientId,
      packet.cleanStart,
      this.#expiryInterval(packet),
      packet.will ? PendingWill.from(packet.will) : null
    )
    if (room === 'taken') {
      connection.refuse(connectReasonOf(403, connection.version), { reasonString: 'another user is connected with this client identifier' })
      return
    }
    if (room === 'full') {
      connection.refuse(connectReasonOf(503, connection.version))
      return
    }
    broker.journal.kept(kept => {
      if (kept) broker.flusher.batch(() => this.#connected(packet, room.session, room.present))
      else connection.refuse(connectReasonOf(503, connection.version))
    })
  }

  #connected(packet: ConnectPacket, session: Parameters<Connection['opened']>[0], present: boolean): void {
    const connection = this.#connection
    const { broker } = connection
    if (this.#abandoned || session.claim !== connection) return
    connection.timeout = this.#keepAlive(packet) * 1500
    connection.sender.window = Math.min(packet.receiveMaximum, broker.options.sendWindow)
    connection.sender.maximumPacketSize = packet.maximumPacketSize
    connection.sender.wantsProblems = packet.requestProblemInformation
    connection.authenticationMethod = packet.authenticationMethod
    broker.sessions.attach(session, connection)
    connection.opened(session, packet.topicAliasMaximum)
    connection.sender.send(this.#connack(packet, present, session.expiryInterval))
    session.deliveries.resume()
    connection.proceed()
    this.#watchUser()
  }

  #watchUser(): void {
    const { context, validity } = this.#connection
    if (context !== null && this.#authenticated !== null) validity.watch(context, this.#authenticated)
    this.#authenticated = null
  }

  #connack(packet: ConnectPacket, present: boolean, expiryInterval: number): Buffer {
    const { limits, options, maxPacketSize } = this.#connection.broker
    const keepAlive = this.#keepAlive(packet)
    return encodeConnack(packet.protocolVersion, present, REASON.SUCCESS, {
      sessionExpiryInterval: expiryInterval === (packet.sessionExpiryInterval ?? 0) ? undefined : expiryInterval,
      receiveMaximum: limits.inFlightPerConnection,
      maximumPacketSize: maxPacketSize,
      assignedClientIdentifier: this.#assigned ? this.#clientId : undefined,
      topicAliasMaximum: options.topicAliasMaximum,
      serverKeepAlive: keepAlive === packet.keepAlive ? undefined : keepAlive,
      responseInformation: packet.requestResponseInformation ? options.responseInformation?.replaceAll('{clientId}', this.#clientId) : undefined,
      authenticationMethod: packet.authenticationMethod ?? undefined
    })
  }

  /** Before MQTT 5 a session without clean start lasts for ever (3.1.1 section 3.1.2.4); the broker has the last word. */
  #expiryInterval(packet: ConnectPacket): number {
    const asked = packet.protocolVersion === 5 ? (packet.sessionExpiryInterval ?? 0) : packet.cleanStart ? 0 : FOREVER
    return Math.min(asked, this.#connection.broker.options.maxSessionExpiry)
  }

  #keepAlive(packet: ConnectPacket): number {
    const { maxKeepAlive } = this.#connection.broker.options
    if (packet.protocolVersion < 5 || maxKeepAlive === 0) return packet.keepAlive
    return packet.keepAlive === 0 ? maxKeepAlive : Math.min(packet.keepAlive, maxKeepAlive)
  }
}
