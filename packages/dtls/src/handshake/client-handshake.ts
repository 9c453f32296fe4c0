import { randomBytes } from 'node:crypto'
import type { SecuredTarget } from '@iopa/transport'
import { ALERT, alertName, HandshakeFailure } from '../alerts.ts'
import { ByteReader, vector } from '../bytes.ts'
import type { ClientExchange, KeyExchange, ProvenIdentity } from '../key-exchange/key-exchange.ts'
import { RecordLayer } from '../records/record-layer.ts'
import { CIPHER_SUITES, type CipherSuite } from '../suites/cipher-suites.ts'
import { connectionKeys, copyOf, extendedMasterSecret, masterSecret, verifyData, wipe } from '../suites/key-schedule.ts'
import { EXTENSION, type Extensions } from './extensions.ts'
import type { FlightPart } from './flight.ts'
import { Handshake, type HandshakeSetting } from './handshake.ts'
import { clientHelloBytes, DTLS_1_2, RANDOM_LENGTH, readHelloVerifyRequest, readServerHello, type ServerHello } from './hello.ts'
import { MESSAGE } from './message.ts'
import type { WholeMessage } from './reassembly.ts'
import type { ClientSessions, ResumableSession } from './resumption.ts'
import { RENEGOTIATION_SCSV } from './server-handshake.ts'
import { Transcript } from './transcript.ts'
import { CLIENT_TRANSITIONS } from './transitions.ts'

/** Milliseconds until a client gives up: less than clients wait for a connection unless told (30 s), so that they learn how far it has come. */
const CLIENT_HANDSHAKE_TIME = 25_000
/**
 * An alert in the clear may be forged: it ends the handshake only if two retransmissions after it also make no progress, within 7 s. Where the client has not
 * the certificate that the server asks for, it is what was to be expected, and one second is enough.
 */
const RETRANSMISSIONS_AFTER_ALERT = 2
/** HelloVerifyRequests that a client follows: a second one comes where the server has changed its key in between. */
const MOST_COOKIES = 3
const ROOM = 20_480
const NONE = new Uint8Array(0)

/** What a client's handshake begins with. */
export interface ClientSetting extends HandshakeSetting {
  readonly exchanges: readonly KeyExchange[]
  readonly sessions: ClientSessions | undefined
  readonly target: SecuredTarget
}

/** The handshake of a client (RFC 6347 section 4.2.4, RFC 5246 section 7.3). */
export class ClientHandshake extends Handshake {
  readonly #setting: ClientSetting
  readonly #random: Buffer = randomBytes(RANDOM_LENGTH)
  readonly #end: number
  readonly #suites: readonly CipherSuite[]
  readonly #offered: Extensions
  readonly #offer: { readonly session?: ResumableSession; readonly ticket?: Uint8Array }
  /** With a ticket the client chooses an id, by whose echo it sees that the ticket was accepted (RFC 5077 section 3.4). */
  readonly #sessionId: Uint8Array
  #cookies = 0
  #hello: ServerHello | undefined
  #suite: CipherSuite | undefined
  #exchange: ClientExchange | undefined
  #isResumed = false
  #ems = false
  #peerCid: Uint8Array | undefined
  #usesCid = false
  #ticketIsDue = false
  #ticket: Uint8Array | undefined
  #signed: FlightPart[] = []
  #alert: { readonly alert: number; left: number } | undefined
  #heard = false

  constructor(setting: ClientSetting) {
    super(CLIENT_TRANSITIONS, setting, new RecordLayer(0), ROOM, { own: 0, peer: 0 })
    this.#setting = setting
    this.#end = setting.now() + CLIENT_HANDSHAKE_TIME
    this.#suites = CIPHER_SUITES.filter(({ exchange }) => setting.exchanges.some(({ name, client }) => name === exchange && client !== undefined))
    this.#offer = setting.sessions?.offer(setting.target) ?? {}
    const { session, ticket } = this.#offer
    this.#sessionId = session === undefined ? NONE : ticket !== undefined && ticket.length > 0 ? randomBytes(32) : session.id
    this.#offered = this.#extensions()
  }

  /** The random of its ClientHello. */
  get random(): Uint8Array {
    return this.#random
  }

  protected override get peerRole(): 'server' {
    return 'server'
  }

  protected override get usesCid(): boolean {
    return this.#usesCid
  }

  get #identity(): ProvenIdentity {
    return (this.#isResumed ? this.#offer.session?.identity : this.#exchange?.identity()) ?? { user: undefined }
  }

  override get due(): number {
    return Math.min(this.retransmission.due, this.#end)
  }

  override expire(): void {
    const now = this.setting.now()
    if (now >= this.#end) this.fail(new HandshakeFailure(ALERT.USER_CANCELED, this.#heard ? UNFINISHED : UNHEARD), true)
    else if (this.#alert !== undefined && this.#alert.left-- === 0)
      this.fail(this.#exchange?.lacksCertificate === true ? UNCERTIFIED(this.#alert.alert) : REFUSED_BY(this.#alert.alert), true)
    else if (now >= this.retransmission.due) this.retransmit()
  }

  override begin(): void {
    this.attempt(() => {
      if (this.#suites.length === 0) throw new HandshakeFailure(ALERT.INTERNAL_ERROR, 'There is no key or certificate for a client.')
      this.#sendHello(NONE)
    })
  }

  #extensions(): Extensions {
    const { exchanges, target, cid } = this.#setting
    const extensions = new Map<number, Uint8Array>([[EXTENSION.EXTENDED_MASTER_SECRET, NONE]])
    for (const exchange of exchanges) for (const [type, data] of exchange.clientExtensions?.(target) ?? []) extensions.set(type, data)
    if (cid !== undefined) extensions.set(EXTENSION.CONNECTION_ID, vector(1, cid))
    if (this.#offer.ticket !== undefined) extensions.set(EXTENSION.SESSION_TICKET, this.#offer.ticket)
    return extensions
  }

  #sendHello(cookie: Uint8Array): void {
    // Only the ClientHello with the last cookie counts (RFC 6347 section 4.2.1).
    this.transcript = new Transcript()
    const body = clientHelloBytes({
      version: DTLS_1_2,
      random: this.#random,
      sessionId: this.#sessionId,
      cookie,
      suites: [...this.#suites.map(({ id }) => id), RENEGOTIATION_SCSV],
      compressions: Uint8Array.of(0),
      extensions: this.#offered
    })
    this.sendFlight([this.write(MESSAGE.CLIENT_HELLO, body)])
  }

  protected override handle(message: WholeMessage): void {
    // The server is there and goes on: the alert was forged.
    this.#alert = undefined
    this.#heard = true
    const { type, sequence, body } = message
    if (type === MESSAGE.HELLO_VERIFY_REQUEST) {
      if (++this.#cookies > MOST_COOKIES) throw new HandshakeFailure(ALERT.UNEXPECTED_MESSAGE, 'The server asks for a cookie again and again.')
      this.#sendHello(readHelloVerifyRequest(body))
      return
    }
    this.transcript.add(type, sequence, body)
    if (type === MESSAGE.SERVER_HELLO) this.#receiveHello(body)
    else if (type === MESSAGE.NEW_SESSION_TICKET) this.#receiveTicket(body)
    else if (type === MESSAGE.SERVER_HELLO_DONE) this.#answer(body)
    else this.after(this.#part(type, body), () => {})
  }

  #part(type: number, body: Uint8Array): void | Promise<void> {
    const exchange = this.#exchange!
    if (type === MESSAGE.SERVER_KEY_EXCHANGE) return exchange.serverKeyExchange(body)
    const part = type === MESSAGE.CERTIFICATE ? exchange.serverCertificate : exchange.certificateRequest
    if (part === undefined) throw new HandshakeFailure(ALERT.UNEXPECTED_MESSAGE, 'The suite has no such message.')
    return part.call(exchange, body)
  }

  #receiveHello(body: Uint8Array): void {
    const hello = readServerHello(body)
    const { version, extensions } = hello
    this.#hello = hello
    if (version !== DTLS_1_2) throw new HandshakeFailure(ALERT.PROTOCOL_VERSION, 'The server does not speak DTLS 1.2.')
    this.#checkExtensions(extensions)
    const suite = this.#suites.find(({ id }) => id === hello.suite)
    if (suite === undefined) throw new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, 'The server has chosen a suite that was not offered.')
    this.#suite = suite
    this.#isResumed = this.#sessionId.length > 0 && Buffer.compare(hello.sessionId, this.#sessionId) === 0
    if (this.#isResumed) this.#resume(suite)
    else this.#beginFull(suite, hello)
  }

  #checkExtensions(extensions: Extensions): void {
    for (const [type, data] of extensions) {
      // The answer to the signaling suite is the one extension that may come without a question (RFC 5746 section 3.4).
      if (type === EXTENSION.RENEGOTIATION_INFO) {
        if (data.length !== 1 || data[0] !== 0) throw new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'Nothing is renegotiated here.')
      } else if (!this.#offered.has(type))
        throw new HandshakeFailure(ALERT.UNSUPPORTED_EXTENSION, `The server answers extension ${type}, which was not sent.`)
    }
    this.#ems = extensions.has(EXTENSION.EXTENDED_MASTER_SECRET)
    this.#ticketIsDue = extensions.has(EXTENSION.SESSION_TICKET)
    const cid = extensions.get(EXTENSION.CONNECTION_ID)
    if (cid === undefined) return
    const reader = new ByteReader(cid)
    // A copy: `slice` of a Buffer would keep the whole datagram.
    this.#peerCid = new Uint8Array(reader.vector(1))
    reader.end()
    this.#usesCid = true
  }

  #beginFull(suite: CipherSuite, hello: ServerHello): void {
    const { exchanges, sessions, target } = this.#setting
    if (this.#sessionId.length > 0) sessions?.forget(target)
    const exchange = exchanges
      .find(({ name }) => name === suite.exchange)
      ?.client?.({ suite, hello, clientRandom: this.#random, target, signal: this.signal })
    if (exchange === undefined) throw new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'There is no key for the suite that the server has chosen.')
    this.#exchange = exchange
    this.decide(exchange.expectsCertificate ? 'FULL_WITH_CERTIFICATE' : 'FULL')
  }

  #resume(suite: CipherSuite): void {
    const session = this.#offer.session!
    if (session.suite.id !== suite.id || session.extendedMasterSecret !== this.#ems)
      throw new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, 'The server resumes a session in another way than it was agreed on.')
    this.master = copyOf(session.masterSecret)
    this.expectKeys(this.#keys().server)
    this.decide(this.#ticketIsDue ? 'TICKET' : 'RESUME')
  }

  #keys(): ReturnType<typeof connectionKeys> {
    return connectionKeys(this.setting.ciphers.of(this.#suite!.cipher), this.master!, this.#random, this.#hello!.random)
  }

  #answer(body: Uint8Array): void {
    new ByteReader(body).end()
    this.retransmission.stop()
    this.after(this.#exchange!.answer(), ({ certificate, clientKeyExchange, premaster, certificateVerify }) => {
      const flight = certificate === undefined ? [] : [this.write(MESSAGE.CERTIFICATE, certificate)]
      flight.push(this.write(MESSAGE.CLIENT_KEY_EXCHANGE, clientKeyExchange))
      this.master = this.#ems ? extendedMasterSecret(premaster, this.transcript.digest()) : masterSecret(premaster, this.#random, this.#hello!.random)
      wipe(premaster)
      this.#signed = flight
      this.after(certificateVerify?.(this.transcript), signature => this.#sendAnswer(signature))
    })
  }

  #sendAnswer(signature: Uint8Array | undefined): void {
    if (signature !== undefined) this.#signed.push(this.write(MESSAGE.CERTIFICATE_VERIFY, signature))
    const keys = this.#keys()
    this.expectKeys(keys.server)
    this.records.protectSending(keys.client, this.#peerCid ?? NONE)
    this.decide(this.#ticketIsDue ? 'TICKET' : 'KEYED')
    this.sendFlight([...this.#signed, 'change-cipher-spec', this.#finish()])
  }

  #finish(): FlightPart {
    return this.write(MESSAGE.FINISHED, verifyData('client', this.master!, this.transcript.digest()))
  }

  #receiveTicket(body: Uint8Array): void {
    const reader = new ByteReader(body)
    reader.take(4)
    const ticket = reader.vector(2)
    reader.end()
    if (ticket.length > 0) this.#ticket = new Uint8Array(ticket)
  }

  protected override finished({ sequence }: WholeMessage): void {
    const lastFlight: FlightPart[] = []
    if (this.#isResumed) {
      this.records.protectSending(this.#keys().client, this.#peerCid ?? NONE)
      lastFlight.push('change-cipher-spec', this.#finish())
      this.sendFlight(lastFlight, true)
    }
    this.#keep()
    this.establish({ identity: this.#identity, lastFlight, peerFinished: sequence, ownCid: this.#usesCid ? this.setting.cid : undefined })
  }

  #keep(): void {
    const { sessions, target } = this.#setting
    const id = this.#isResumed ? this.#offer.session!.id : this.#hello!.sessionId
    if (sessions === undefined || (id.length === 0 && this.#ticket === undefined)) return
    const session = { id, suite: this.#suite!, masterSecret: copyOf(this.master!), extendedMasterSecret: this.#ems, identity: this.#identity }
    sessions.store(target, session, this.#ticket ?? (this.#isResumed ? this.#offer.ticket : undefined))
  }

  /** Such as a forged record; the right one comes again. */
  protected override unopened(): void {}

  protected override noteAlert(alert: number): void {
    if (this.#alert !== undefined) return
    this.#alert = { alert, left: this.#exchange?.lacksCertificate === true ? 0 : RETRANSMISSIONS_AFTER_ALERT }
    // From the first interval again: after a long silence the next ones would take up to a minute.
    this.retransmission.start(this.setting.now())
  }
}

const UNHEARD = 'Nothing has answered. Check host and port, and that DTLS is served there.'
const UNFINISHED = 'The server has begun the handshake and did not finish it: check identity and key.'
const UNCERTIFIED = (alert: number): HandshakeFailure =>
  new HandshakeFailure(
    alert,
    `The server wants a certificate or raw public key (${alertName(alert)}): give dtls() a key, with its cert where the server has ca.`
  )
const REFUSED_BY = (alert: number): HandshakeFailure =>
  new HandshakeFailure(alert, `The server has refused the handshake (${alertName(alert)}): check identity, key, and what the server accepts.`)
