import { randomBytes } from 'node:crypto'
import type { DatagramEndpoint } from '@iopa/transport'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ByteReader, vector } from '../bytes.ts'
import type { KeyExchange, ProvenIdentity, ServerExchange } from '../key-exchange/key-exchange.ts'
import type { DirectionKeys } from '../records/record-cipher.ts'
import { RecordLayer } from '../records/record-layer.ts'
import { CIPHER_SUITES, type CipherSuite } from '../suites/cipher-suites.ts'
import { connectionKeys, copyOf, extendedMasterSecret, masterSecret, verifyData, wipe } from '../suites/key-schedule.ts'
import { EXTENSION } from './extensions.ts'
import type { FlightPart } from './flight.ts'
import { Handshake, type HandshakeSetting } from './handshake.ts'
import { type ClientHello, DTLS_1_2, RANDOM_LENGTH, readClientHello, serverHelloBytes } from './hello.ts'
import { MESSAGE } from './message.ts'
import type { WholeMessage } from './reassembly.ts'
import type { ResumableSession, ServerSessions } from './resumption.ts'
import { SERVER_TRANSITIONS } from './transitions.ts'

/** Milliseconds that a client has for a handshake. */
const HANDSHAKE_TIME = 10_000
/** Milliseconds from ClientKeyExchange until a client hears that its key was not accepted; longer than any look-up, so that the time says nothing. */
const VERDICT_TIME = 5500
/** The only signaling suite: an empty renegotiation_info (RFC 5746 section 3.3). */
export const RENEGOTIATION_SCSV = 0x00ff
/** Bytes of messages that are kept: those of a client with a key, and those of one with certificates. */
const ROOM = 4096
const ROOM_WITH_CERTIFICATES = 20_480
const NONE = new Uint8Array(0)

/** What a server's handshake begins with: a ClientHello whose cookie was verified. */
export interface ServerSetting extends HandshakeSetting {
  readonly exchanges: readonly KeyExchange[]
  readonly sessions: ServerSessions | undefined
  readonly peer: DatagramEndpoint
  readonly hello: WholeMessage
  /** The record number of the ClientHello. */
  readonly recordSequence: number
}

/** The handshake of a server (RFC 6347 section 4.2.4, RFC 5246 section 7.3). */
export class ServerHandshake extends Handshake {
  readonly #setting: ServerSetting
  readonly #random: Buffer = randomBytes(RANDOM_LENGTH)
  readonly #end: number
  readonly #hello: ClientHello
  #suite: CipherSuite | undefined
  #exchange: ServerExchange | undefined
  #resumed: ResumableSession | undefined
  #sessionId: Uint8Array = NONE
  #ems = false
  #peerCid: Uint8Array | undefined
  #ownKeys: DirectionKeys | undefined
  #signed = false
  #verdict = Number.POSITIVE_INFINITY
  #isRejected = false
  #refusal: HandshakeFailure | undefined

  /** @throws HandshakeFailure for a ClientHello that is malformed. */
  constructor(setting: ServerSetting) {
    const { hello, recordSequence, exchanges } = setting
    const room = exchanges.some(({ name }) => name === 'ecdhe-ecdsa') ? ROOM_WITH_CERTIFICATES : ROOM
    super(SERVER_TRANSITIONS, setting, new RecordLayer(recordSequence), room, { own: hello.sequence, peer: hello.sequence + 1 })
    this.#setting = setting
    this.#end = setting.now() + HANDSHAKE_TIME
    this.#hello = readClientHello(hello.body)
  }

  protected override get peerRole(): 'client' {
    return 'client'
  }

  protected override get usesCid(): boolean {
    return this.#peerCid !== undefined
  }

  /** Whom the handshake is about to prove; for a revocation meanwhile. */
  get claimed(): ProvenIdentity {
    return this.#resumed?.identity ?? this.#exchange?.claimed?.() ?? this.#identity
  }

  get #identity(): ProvenIdentity {
    return this.#resumed?.identity ?? this.#exchange?.identity() ?? { user: undefined }
  }

  override get due(): number {
    return Math.min(this.retransmission.due, this.#end, this.#isRejected ? this.#verdict : Number.POSITIVE_INFINITY)
  }

  override expire(): void {
    const now = this.setting.now()
    if (now >= this.#end) this.fail(new HandshakeFailure(ALERT.USER_CANCELED, 'The client has not finished its handshake in time.'), true)
    else if (this.#isRejected && now >= this.#verdict) this.fail(this.#refusal ?? REJECTED())
    else if (now >= this.retransmission.due) this.retransmit()
  }

  override begin(): void {
    this.attempt(() => {
      this.#checkHello()
      this.transcript.add(MESSAGE.CLIENT_HELLO, this.#setting.hello.sequence, this.#setting.hello.body)
      this.after(this.#setting.sessions?.find(this.#hello, this.signal), session => {
        if (session !== undefined && this.#mayResume(session)) this.#resume(session)
        else this.#beginFull()
      })
    })
  }

  #checkHello(): void {
    const { version, compressions, extensions, suites } = this.#hello
    // Versions of DTLS count down.
    if (version >> 8 !== 0xfe || version > DTLS_1_2) throw new HandshakeFailure(ALERT.PROTOCOL_VERSION, 'The client does not speak DTLS 1.2.')
    if (!compressions.includes(0)) throw new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, 'The client does not offer to leave compression out.')
    const renegotiation = extensions.get(EXTENSION.RENEGOTIATION_INFO)
    if (renegotiation !== undefined && !(renegotiation.length === 1 && renegotiation[0] === 0))
      throw new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'Nothing is renegotiated here.')
    this.#ems = extensions.get(EXTENSION.EXTENDED_MASTER_SECRET)?.length === 0
    const cid = extensions.get(EXTENSION.CONNECTION_ID)
    if (cid !== undefined && this.setting.cid !== undefined) {
      const reader = new ByteReader(cid)
      // A copy: `slice` of a Buffer would keep the whole datagram.
      this.#peerCid = new Uint8Array(reader.vector(1))
      reader.end()
    }
    if (suites.length === 0) throw new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, 'The client offers no suite.')
  }

  /** The suite is offered again, and the master secret is of the same kind (RFC 7627 section 5.3). */
  #mayResume({ suite, extendedMasterSecret: isExtended }: ResumableSession): boolean {
    return this.#hello.suites.includes(suite.id) && isExtended === this.#ems
  }

  #beginFull(): void {
    const suite = CIPHER_SUITES.find(candidate => this.#hello.suites.includes(candidate.id) && this.#choose(candidate))
    const exchange = this.#exchange
    if (suite === undefined || exchange === undefined)
      throw new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'There is no suite that both sides can use.')
    this.#suite = suite
    this.#sessionId = this.#setting.sessions?.newId(this.#hello) ?? NONE
    this.after(exchange.messages(), messages => {
      this.decide(exchange.requestsCertificate ? 'FULL_WITH_CERTIFICATE' : 'FULL')
      const flight = [
        this.#serverHello(suite),
        ...messages.map(({ type, body }) => this.write(type, body)),
        this.write(MESSAGE.SERVER_HELLO_DONE, NONE)
      ]
      this.sendFlight(flight)
    })
  }

  #choose(suite: CipherSuite): boolean {
    const exchange = this.#setting.exchanges.find(({ name }) => name === suite.exchange)
    this.#exchange = exchange?.server?.({ suite, hello: this.#hello, serverRandom: this.#random, peer: this.#setting.peer, signal: this.signal })
    return this.#exchange !== undefined
  }

  #serverHello(suite: CipherSuite): FlightPart {
    const { extensions: offered, suites } = this.#hello
    const extensions = new Map(this.#exchange?.extensions)
    if (this.#ems) extensions.set(EXTENSION.EXTENDED_MASTER_SECRET, NONE)
    if (offered.has(EXTENSION.RENEGOTIATION_INFO) || suites.includes(RENEGOTIATION_SCSV))
      extensions.set(EXTENSION.RENEGOTIATION_INFO, Uint8Array.of(0))
    if (this.#peerCid !== undefined) extensions.set(EXTENSION.CONNECTION_ID, vector(1, this.setting.cid!))
    if (this.#setting.sessions?.givesTicket(this.#hello)) extensions.set(EXTENSION.SESSION_TICKET, NONE)
    const body = serverHelloBytes({ version: DTLS_1_2, random: this.#random, sessionId: this.#sessionId, suite: suite.id, extensions })
    return this.write(MESSAGE.SERVER_HELLO, body)
  }

  #resume(session: ResumableSession): void {
    this.decide('RESUME')
    this.#resumed = session
    this.#suite = session.suite
    // A session that came as a ticket is accepted by an echo of the client's own id (RFC 5077 section 3.4).
    this.#sessionId = this.#hello.sessionId
    this.master = copyOf(session.masterSecret)
    const hello = this.#serverHello(session.suite)
    this.#deriveKeys(session.suite)
    this.sendFlight([hello, ...this.#ticket(session.identity), 'change-cipher-spec', this.#finish()])
  }

  protected override handle({ type, sequence, body }: WholeMessage): void {
    const exchange = this.#exchange!
    if (type === MESSAGE.CERTIFICATE_VERIFY) {
      this.after(exchange.certificateVerify?.(body, this.transcript), () => this.transcript.add(type, sequence, body))
      return
    }
    this.transcript.add(type, sequence, body)
    if (type === MESSAGE.CERTIFICATE) {
      this.after(exchange.certificate?.(body) ?? false, isThere => {
        this.#signed = isThere
      })
      return
    }
    // From here on the client repeats its flight until it has our answer.
    this.retransmission.stop()
    const found = exchange.clientKeyExchange(body)
    this.#verdict = this.setting.now() + VERDICT_TIME
    this.after(found, premaster => {
      this.#deriveMaster(premaster)
      this.#deriveKeys(this.#suite!)
      this.decide(this.#signed ? 'SIGNED' : 'KEYED')
    })
  }

  #deriveMaster(premaster: Uint8Array): void {
    this.master = this.#ems ? extendedMasterSecret(premaster, this.transcript.digest()) : masterSecret(premaster, this.#hello.random, this.#random)
    wipe(premaster)
  }

  #deriveKeys({ cipher }: CipherSuite): void {
    const { client, server } = connectionKeys(this.setting.ciphers.of(cipher), this.master!, this.#hello.random, this.#random)
    this.#ownKeys = server
    this.expectKeys(client)
  }

  #ticket(identity: ProvenIdentity): FlightPart[] {
    const { sessions } = this.#setting
    if (!sessions?.givesTicket(this.#hello)) return []
    const ticket = sessions.ticket?.(this.#session(identity))
    return ticket === undefined ? [] : [this.write(MESSAGE.NEW_SESSION_TICKET, ticket)]
  }

  #session(identity: ProvenIdentity): ResumableSession {
    return {
      id: this.#sessionId,
      suite: this.#suite!,
      masterSecret: copyOf(this.master!),
      extendedMasterSecret: this.#ems,
      identity
    }
  }

  /** Our Finished; from here on we protect what we send. */
  #finish(): FlightPart {
    this.records.protectSending(this.#ownKeys!, this.#peerCid ?? NONE)
    return this.write(MESSAGE.FINISHED, verifyData('server', this.master!, this.transcript.digest()))
  }

  protected override finished({ sequence }: WholeMessage): void {
    const isFull = this.#resumed === undefined
    const identity = this.#identity
    const lastFlight: FlightPart[] = isFull ? [...this.#ticket(identity), 'change-cipher-spec', this.#finish()] : []
    if (isFull) {
      this.#setting.sessions?.store(this.#session(identity))
      this.sendFlight(lastFlight, true)
    }
    this.establish({
      identity,
      lastFlight,
      peerFinished: sequence,
      ownCid: this.#peerCid === undefined ? undefined : this.setting.cid
    })
  }

  /** The key of the client is wrong, or the record was forged: there is no answer before the verdict, which a right Finished may still precede. */
  protected override unopened(): void {
    this.#isRejected = this.#verdict !== Number.POSITIVE_INFINITY
    if (this.#isRejected && this.setting.now() >= this.#verdict) throw REJECTED()
  }

  /**
   * What comes in the clear during a look-up is read when that is done: an answer then would say how long it took. So whatever is wrong from there on, until
   * the client protects its records, has the answer and the time of a wrong key.
   */
  protected override refuse(failure: HandshakeFailure): void {
    const isOpen = this.#exchange?.hidesLookup !== true || this.records.opener !== undefined || this.setting.now() >= this.#verdict
    if (isOpen || this.#verdict === Number.POSITIVE_INFINITY) {
      this.fail(failure)
      return
    }
    this.#isRejected = true
    this.#refusal = new HandshakeFailure(ALERT.DECRYPT_ERROR, failure.message, { cause: failure.cause })
    this.ignorePeer()
  }

  /** An alert in the clear may come from anyone: it changes nothing. */
  protected override noteAlert(): void {}
}

const REJECTED = (): HandshakeFailure => new HandshakeFailure(ALERT.DECRYPT_ERROR, 'The key of the client is not the one of its identity.')
