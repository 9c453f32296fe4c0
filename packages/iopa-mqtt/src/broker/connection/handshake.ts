import { randomBytes } from 'node:crypto'
import { type Context, type Counters, type Host, isUnrouted } from '@iopa/transport'
import { protocolVersionOf } from '../../codec/connect-decoder.ts'
import type { PacketDecoder } from '../../codec/packet-decoder.ts'
import { encodeAuth } from '../../codec/packet-encoder.ts'
import type { AuthPacket, ConnectPacket } from '../../codec/packets.ts'
import { ProtocolError } from '../../codec/protocol-error.ts'
import { REASON } from '../../codec/reason-codes.ts'
import { connectHeaders, HeaderSource } from '../app/publication.ts'
import type { Requests } from '../app/requests.ts'
import type { Operation } from '../operation/operation.ts'
import { MqttEndpoint } from '../session/endpoint.ts'
import { userKeyOf } from '../session/identity.ts'
import type { Session } from '../session/session.ts'
import type { Sessions } from '../session/sessions.ts'
import { PendingWill } from '../session/wills.ts'
import { connectReasonOf, REFUSED_PROTOCOL_VERSION } from '../status-codes.ts'
import { acceptingConnack, type ConnectingConnection, expiryIntervalOf, keepAliveOf, refusalOf } from './connect.ts'

/** Bytes of a packet before CONNECT is accepted. */
export const LARGEST_CONNECT = 16_384
const OTHER_USER = 'another user is connected with this client identifier'

export interface HandshakePorts {
  readonly operation: Pick<Operation, 'settings' | 'batches' | 'journal' | 'statistics'>
  readonly host: Pick<Host, 'run'>
  readonly requests: Requests
  readonly sessions: Sessions
  readonly decoder: PacketDecoder
  readonly counters: Pick<Counters, 'refusal'>
}

/**
 * Runs CONNECT, and the AUTH packets that may follow, through the pipeline (MQTT 5 sections 3.1, 4.12). Authentication is ordinary
 * middleware: a status of 400 or more refuses. A 401 with `www-authenticate: <method>` asks for one more step of that method, with its body
 * as the authentication data; the next data of the client comes as another CONNECT context within the first.
 */
export class Handshake {
  readonly #connection: ConnectingConnection
  readonly #ports: HandshakePorts
  #packet: ConnectPacket | null = null
  #clientId = ''
  #assigned = false
  #abandoned = false
  /** True once middleware has read the authentication method, or asked for a further step of it. */
  #methodKnown = false
  /** True while the client is to send AUTH. */
  expects = false
  /** True while the pipeline runs a step. */
  #asked = false
  /** The run that has set the user. */
  #authenticated: Context | null = null

  constructor(connection: ConnectingConnection, ports: HandshakePorts) {
    this.#connection = connection
    this.#ports = ports
  }

  /** Takes a packet of a connection without session: CONNECT, then AUTH. */
  receive(bytes: Buffer, start: number, body: number, end: number): void {
    if (this.#packet === null) {
      this.#start(bytes, start, body, end)
      return
    }
    const packet = this.#ports.decoder.decode(bytes, start, body, end, this.#connection.version)
    if (packet.type !== 'AUTH') throw new ProtocolError(REASON.PROTOCOL_ERROR, 'an authentication is under way')
    this.#proceed(packet)
  }

  #start(bytes: Buffer, start: number, body: number, end: number): void {
    const packet = this.#read(bytes, start, body, end)
    if (packet === null) return
    const connection = this.#connection
    const { requests, operation } = this.#ports
    this.#packet = packet
    connection.speak(packet.protocolVersion)
    connection.bridge = packet.bridge
    const refusal = refusalOf(packet)
    if (refusal !== null) {
      const { code, reasonString } = refusal
      this.#ports.counters.refusal(400, 'refused', connection.channel)
      connection.refuse(code, reasonString === undefined ? undefined : { reasonString })
      return
    }
    this.#assigned = packet.clientId === ''
    this.#clientId = this.#assigned ? `iopa-${randomBytes(12).toString('base64url')}` : packet.clientId
    const endpoint = new MqttEndpoint(connection.channel, packet.protocolVersion, this.#clientId, operation.settings.limits.body)
    connection.endpoint = endpoint
    const source = new HeaderSource(connectHeaders(packet.userName, packet.password, packet.userProperties))
    const context = requests.control('CONNECT', '/', endpoint, source)
    connection.context = context
    connection.source = source
    // A pre-shared key proves an identity.
    const { pskIdentity } = connection.channel
    if (pskIdentity !== undefined) context['server.User'] = { id: pskIdentity, by: 'psk' }
    context['mqtt.ClientId'] = this.#clientId
    context['mqtt.ProtocolVersion'] = packet.protocolVersion
    context['mqtt.CleanStart'] = packet.cleanStart
    context['mqtt.KeepAlive'] = packet.keepAlive
    if (packet.userName !== null) context['mqtt.UserName'] = packet.userName
    if (packet.password !== null) context['mqtt.Password'] = packet.password
    this.#run(context, packet.authenticationMethod, packet.authenticationData)
  }

  /** The client's next step of an authentication. */
  #proceed(packet: AuthPacket): void {
    this.expects = false
    const method = this.#packet?.authenticationMethod ?? null
    if (packet.reasonCode !== REASON.CONTINUE_AUTHENTICATION || packet.authenticationMethod !== method) {
      throw new ProtocolError(REASON.PROTOCOL_ERROR, 'the authentication goes on with another method')
    }
    this.#step(method, packet.authenticationData)
  }

  /** Authenticates again while the connection is open (section 4.12.1); its other packets are handled meanwhile. */
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

  /** True while an authentication is not finished. */
  get underWay(): boolean {
    return this.expects || this.#asked
  }

  /** The connection is closed: the outcome of the pipeline is ignored. */
  abandon(): void {
    this.#abandoned = true
  }

  #read(bytes: Buffer, start: number, body: number, end: number): ConnectPacket | null {
    const connection = this.#connection
    try {
      connection.speak(protocolVersionOf(bytes, body, end))
      const packet = this.#ports.decoder.decode(bytes, start, body, end, connection.version)
      if (packet.type === 'CONNECT') return packet
      this.#ports.counters.refusal(400, 'malformed-message', connection.channel)
      connection.destroy()
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      // An unsupported version is refused as in 3.1.1, which every client understands (3.1.1 section 3.1.2.2).
      if (error.reasonCode === REASON.UNSUPPORTED_PROTOCOL_VERSION) {
        connection.speak(4)
        this.#ports.counters.refusal(505, 'mqtt-version', connection.channel)
        connection.refuse(REFUSED_PROTOCOL_VERSION)
        return null
      }
      this.#ports.counters.refusal(400, 'malformed-message', connection.channel)
      if (connection.version === 5) connection.refuse(error.reasonCode, { reasonString: error.message })
      else connection.destroy()
    }
    return null
  }

  #step(method: string | null, data: Buffer | null): void {
    const { context, endpoint } = this.#connection
    if (context === null || endpoint === null) return
    this.#run(this.#ports.requests.control('CONNECT', '/', endpoint, null, context), method, data)
  }

  #run(context: Context, method: string | null, data: Buffer | null): void {
    if (method !== null) {
      // Middleware without enhanced authentication would accept a method that it has never read.
      const look = (): string => {
        this.#methodKnown = true
        return method
      }
      Object.defineProperty(context, 'mqtt.AuthenticationMethod', { get: look, enumerable: true, configurable: true })
    }
    if (data !== null) context['mqtt.AuthenticationData'] = data
    const { host, operation } = this.#ports
    this.#asked = true
    host.run(context, () => {
      this.#asked = false
      if (this.#abandoned) return
      operation.batches.batch(() => this.#outcome(context, method))
    })
  }

  #outcome(context: Context, method: string | null): void {
    const connection = this.#connection
    const answer = context.response
    const { status } = answer
    const first = connection.context as Context
    // The credentials exist only during this run.
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
    if (status === 401 || status === 403) this.#ports.operation.statistics.unauthorized++
    if (connection.isOpen) connection.disconnect(REASON.NOT_AUTHORIZED, reason)
    else connection.refuse(connectReasonOf(status, connection.version), reason === '' ? {} : { reasonString: reason })
  }

  #accepted(method: string | null): void {
    const connection = this.#connection
    const { sessions, operation } = this.#ports
    if (connection.isOpen) {
      connection.sender.send(encodeAuth(REASON.SUCCESS, method ?? '', undefined))
      if (connection.session !== null) sessions.userChanged(connection.session, connection)
      this.#watchUser()
      return
    }
    const packet = this.#packet as ConnectPacket
    if (method !== null && !this.#methodKnown) {
      this.#ports.counters.refusal(401, 'refused', connection.channel)
      connection.refuse(REASON.BAD_AUTHENTICATION_METHOD)
      return
    }
    const expiryInterval = expiryIntervalOf(packet, operation.settings)
    // A CONNACK that is larger than the client takes cannot be sent.
    if (this.#connack(packet, false, expiryInterval).length > packet.maximumPacketSize) {
      this.#ports.counters.refusal(400, 'refused', connection.channel)
      connection.destroy()
      return
    }
    const opened = sessions.open(connection, {
      clientId: this.#clientId,
      cleanStart: packet.cleanStart,
      expiryInterval,
      will: packet.will ? PendingWill.from(packet.will) : null
    })
    if (typeof opened === 'string') {
      this.#refuse(opened === 'full' ? 503 : 403, opened === 'full' ? undefined : { reasonString: OTHER_USER })
      return
    }
    const { session, present } = opened
    connection.session = session
    operation.journal.kept(kept => {
      if (kept) operation.batches.batch(() => this.#connected(packet, session, present))
      else this.#refuse(503)
    })
  }

  #refuse(status: number, details?: { readonly reasonString: string }): void {
    const { channel, version } = this.#connection
    this.#ports.counters.refusal(status, 'refused', channel)
    this.#connection.refuse(connectReasonOf(status, version), details)
  }

  #connected(packet: ConnectPacket, session: Session, present: boolean): void {
    const connection = this.#connection
    if (this.#abandoned || session.claim !== connection) return
    const { settings } = this.#ports.operation
    connection.sender.window = Math.min(packet.receiveMaximum, settings.sendWindow)
    connection.sender.maximumPacketSize = packet.maximumPacketSize
    connection.sender.wantsProblems = packet.requestProblemInformation
    connection.sender.aliasMaximum = Math.min(packet.topicAliasMaximum, settings.topicAliasMaximum)
    connection.authenticationMethod = packet.authenticationMethod
    this.#ports.sessions.attach(session, connection)
    if (connection.endpoint instanceof MqttEndpoint) connection.endpoint.session = session
    connection.opened(keepAliveOf(packet, settings) * 1500)
    connection.sender.send(this.#connack(packet, present, session.expiryInterval))
    session.outgoing.resume()
    connection.proceed()
    this.#watchUser()
  }

  #watchUser(): void {
    const { context, validity } = this.#connection
    if (context !== null && this.#authenticated !== null) validity.watch(context, this.#authenticated)
    this.#authenticated = null
  }

  #connack(packet: ConnectPacket, present: boolean, expiryInterval: number): Buffer {
    const { settings } = this.#ports.operation
    return acceptingConnack(packet, { present, expiryInterval, clientId: this.#clientId, assigned: this.#assigned }, settings)
  }
}
