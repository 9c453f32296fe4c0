import { randomBytes } from 'node:crypto'
import {
  type DatagramChannel,
  type DatagramEndpoint,
  IopaError,
  type SecuredChannel,
  type SecuredEnd,
  type SecuredPeer,
  type SecuredReceiver,
  type SecuredTarget,
  type SecurityEnvironment,
  type TimerHandle,
  type User
} from '@iopa/transport'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ClientHandshake } from '../handshake/client-handshake.ts'
import type { Established, HandshakeEvents, HandshakeSetting } from '../handshake/handshake.ts'
import { HelloGate } from '../handshake/hello-gate.ts'
import type { WholeMessage } from '../handshake/reassembly.ts'
import type { ClientSessions, ServerSessions } from '../handshake/resumption.ts'
import { ServerHandshake } from '../handshake/server-handshake.ts'
import type { KeyExchange } from '../key-exchange/key-exchange.ts'
import { CID_LENGTH, CONTENT, cidKey, cidOf, type ReceivedRecord, readRecord } from '../records/record.ts'
import { RecordCiphers } from '../records/record-cipher.ts'
import { HandshakeTable } from './handshake-table.ts'
import { Session, type SessionOwner } from './session.ts'
import { endpointKey, SessionTable } from './session-table.ts'

/** What a channel was configured with. */
export interface ChannelSetting {
  readonly exchanges: readonly KeyExchange[]
  readonly serverSessions?: ServerSessions
  readonly clientSessions?: ClientSessions
  readonly cid: boolean
  /** Milliseconds without a record after which a session ends. */
  readonly idle: number
  /** None of the sessions that are kept for these users may be resumed. */
  revoke?(matches: (user: User) => boolean): void
}

/** How often within the idle time all sessions are looked at. */
const SWEEPS = 4
const RANDOM = [2, 34] as const

/** DTLS over one datagram channel, in both roles: finds the session or handshake that a record belongs to. */
export class DtlsChannel implements SecuredChannel, SessionOwner {
  readonly #channel: DatagramChannel
  readonly #environment: SecurityEnvironment
  readonly #setting: ChannelSetting
  readonly #gate: HelloGate
  readonly #sessions: SessionTable
  readonly #handshakes: HandshakeTable
  readonly #ciphers = new RecordCiphers()
  readonly #period: number
  #receiver: SecuredReceiver | undefined
  #timer: TimerHandle
  /** Nothing begins any more, so that what the end of a session causes does not outlive the channel. */
  #isClosing = false
  #isClosed = false
  sweeps = 0

  constructor(channel: DatagramChannel, environment: SecurityEnvironment, setting: ChannelSetting) {
    const { clock, limits } = environment
    this.#channel = channel
    this.#environment = environment
    this.#setting = setting
    this.#gate = new HelloGate(clock.elapsed())
    this.#sessions = new SessionTable(limits)
    this.#handshakes = new HandshakeTable(clock)
    this.#period = Math.max(1, Math.min(limits.idleTimeout, setting.idle) / SWEEPS)
  }

  get localAddress(): string {
    return this.#channel.localAddress
  }

  get localPort(): number {
    return this.#channel.localPort
  }

  get raw(): unknown {
    return this.#channel.raw
  }

  open(receiver: SecuredReceiver): void {
    this.#receiver = receiver
    this.#channel.open({
      message: (bytes, address, port, toMulticast) => {
        if (toMulticast !== true && !this.#isClosing) this.#receive(bytes, address, port)
      },
      error: error => receiver.error(error)
    })
  }

  #receive(datagram: Uint8Array, address: string, port: number): void {
    let peer: DatagramEndpoint | undefined
    let hasHello = false
    for (let record = readRecord(datagram, 0); record !== undefined; record = readRecord(datagram, record.end)) {
      peer ??= { address, port }
      if (record.epoch === 1) {
        // A datagram with a forged record is forged as a whole: a large one must not cost as many tries as records fit into it.
        if (!this.#receiveProtected(record, peer)) break
      } else if (record.epoch === 0 && record.type !== CONTENT.CID) {
        if (!this.#gate.isHello(record)) this.#handshakes.at(endpointKey(address, port))?.handshake.receive(record)
        else if (!hasHello) this.#receiveHello(record, peer)
        hasHello ||= this.#gate.isHello(record)
      }
    }
    if (peer !== undefined && this.#handshakes.size > 0) this.#handshakes.arm(peer)
  }

  /** False for a record that nothing here can take. */
  #receiveProtected(record: ReceivedRecord, peer: DatagramEndpoint): boolean {
    const isWithCid = record.type === CONTENT.CID
    const cid = isWithCid ? cidOf(record) : undefined
    const key = endpointKey(peer.address, peer.port)
    const session = cid === undefined ? this.#sessions.at(key) : this.#sessions.withCid(cid)
    // A record without its id does not reach a session that has one (RFC 9146 section 3).
    if (session !== undefined && isWithCid === (session.cid !== undefined) && session.receive(record, peer)) return true
    if (this.#handshakes.size === 0) return false
    const pending = this.#handshakes.at(key)
    if (pending === undefined || (cid !== undefined && cid !== pending.cid)) return false
    pending.handshake.receive(record)
    return true
  }

  #receiveHello(record: ReceivedRecord, peer: DatagramEndpoint): void {
    if (!this.#environment.accept) return
    const verdict = this.#gate.judge(record, peer, this.#environment.clock.elapsed())
    if (verdict === undefined) return
    if ('answer' in verdict) this.transmit(verdict.answer, peer)
    else this.#accept(verdict.accepted, record.sequence, peer)
  }

  #accept({ type, sequence, body }: WholeMessage, recordSequence: number, peer: DatagramEndpoint): void {
    // A copy: a view would keep the whole datagram, which may be much larger, for as long as the handshake takes.
    const hello = { type, sequence, body: new Uint8Array(body) }
    const random = hello.body.subarray(...RANDOM)
    const pending = this.#handshakes.at(endpointKey(peer.address, peer.port))
    if (pending !== undefined) {
      // Sent again, or our own handshake as a client with the same peer is under way.
      if (pending.hello === undefined || Buffer.compare(pending.hello, random) === 0) return
      // The client has begun again: its address is proven, so it was the client.
      pending.handshake.fail(new HandshakeFailure(ALERT.USER_CANCELED, 'The client has begun another handshake.'), true)
    }
    if (!this.#handshakes.admit(peer.address)) {
      this.#environment.refused?.(peer, 'too-many-connections')
      return
    }
    const cid = this.#newCid()
    const { serverSessions } = this.#setting
    const refused = (): void => this.#environment.refused?.(peer, 'tls-handshake-failed')
    const events = this.#events(peer, result => this.#establish(result, peer), refused)
    const setting = { ...this.#common(cid), events, sessions: serverSessions, peer, hello, recordSequence }
    let handshake: ServerHandshake
    try {
      handshake = new ServerHandshake(setting)
    } catch {
      refused()
      return
    }
    this.#handshakes.add({ handshake, peer, cid: cid && cidKey(cid), hello: random })
    handshake.begin()
  }

  #events(peer: DatagramEndpoint, established: (result: Established) => void, failed: (failure: HandshakeFailure) => void): HandshakeEvents {
    return {
      send: datagram => this.transmit(datagram, peer),
      established: result => {
        this.#handshakes.delete(peer)
        established(result)
      },
      failed: failure => {
        this.#handshakes.delete(peer)
        failed(failure)
      },
      progressed: () => this.#handshakes.arm(peer)
    }
  }

  /** What handshakes of both roles begin with. */
  #common(cid: Uint8Array | undefined): Pick<HandshakeSetting, 'now' | 'cid' | 'ciphers'> & Pick<ChannelSetting, 'exchanges'> {
    return { now: () => this.#environment.clock.elapsed(), cid, ciphers: this.#ciphers, exchanges: this.#setting.exchanges }
  }

  #newCid(): Buffer | undefined {
    return this.#setting.cid ? randomBytes(CID_LENGTH) : undefined
  }

  #establish(result: Established, peer: DatagramEndpoint): void {
    const session = this.#admit(result, peer)
    if (session !== undefined) this.#receiver?.opened(session)
  }

  /** The session of a finished handshake; undefined where there is no room for it. */
  #admit(result: Established, peer: DatagramEndpoint): Session | undefined {
    const session = new Session(this, result, peer)
    // Behind another address of a NAT the same port may be another device by now; a session with an id is then found by it.
    const before = this.#sessions.at(endpointKey(peer.address, peer.port))
    if (before !== undefined && (before.cid === undefined || before.isOf(session))) before.end('lost')
    if (!this.#sessions.hasRoom(peer.address))
      this.#sessions.idlest(peer.address, this.sweeps, this.#count(this.#environment.limits.idleTimeout))?.end('idle')
    if (!this.#sessions.hasRoom(peer.address)) {
      session.close()
      this.#environment.refused?.(peer, 'too-many-connections')
      return undefined
    }
    this.#sessions.add(session)
    this.#timer ??= this.#environment.clock.setTimeout(() => this.#sweep(), this.#period)
    return session
  }

  #count(time: number): number {
    return Math.ceil(time / this.#period) + 1
  }

  #sweep(): void {
    this.sweeps++
    const oldest = this.sweeps - this.#count(this.#setting.idle)
    for (const session of this.#sessions) if (session.lastActive <= oldest) session.end('idle')
    this.#timer = this.#sessions.size === 0 ? undefined : this.#environment.clock.setTimeout(() => this.#sweep(), this.#period)
  }

  connect(target: SecuredTarget, signal: AbortSignal): Promise<SecuredPeer> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const { address, port } = target
      if (this.#isClosing) throw new IopaError(503, 'closed', 'This channel is closed: open another one.')
      if (this.#handshakes.at(endpointKey(address, port)) !== undefined)
        throw new IopaError(502, 'handshake-failed', `A handshake with ${address}:${port} is under way: wait for it.`)
      const peer = { address, port }
      const cid = this.#newCid()
      const onAbort = (): void => handshake.fail(new HandshakeFailure(ALERT.USER_CANCELED, 'The caller has given up.', { cause: signal.reason }))
      const established = (result: Established): void => {
        signal.removeEventListener('abort', onAbort)
        const session = this.#admit(result, peer)
        if (session !== undefined) resolve(session)
        else reject(new IopaError(502, 'handshake-failed', 'There are too many sessions: close some of them.'))
      }
      const failed = (failure: HandshakeFailure): void => {
        signal.removeEventListener('abort', onAbort)
        if (signal.aborted) reject(signal.reason)
        else reject(new IopaError(502, 'handshake-failed', `No DTLS session with ${target.host}:${port}: ${failure.message}`, { cause: failure }))
      }
      const { clientSessions } = this.#setting
      const events = this.#events(peer, established, failed)
      const handshake = new ClientHandshake({ ...this.#common(cid), events, sessions: clientSessions, target })
      signal.addEventListener('abort', onAbort, { once: true })
      this.#handshakes.add({ handshake, peer, cid: cid && cidKey(cid), hello: undefined })
      handshake.begin()
      this.#handshakes.arm(peer)
    })
  }

  revoke(matches: (user: User) => boolean): void {
    this.#setting.revoke?.(matches)
    for (const session of this.#sessions) if (session.user !== undefined && matches(session.user)) session.end('revoked')
    for (const { handshake } of this.#handshakes)
      if (handshake instanceof ServerHandshake && handshake.user !== undefined && matches(handshake.user))
        handshake.fail(new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'The user was revoked.'), true)
  }

  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true
      for (const { handshake } of this.#handshakes) handshake.fail(new HandshakeFailure(ALERT.USER_CANCELED, 'The channel was closed.'), true)
      for (const session of this.#sessions) session.end('closed')
      this.#environment.clock.clearTimeout(this.#timer)
      this.#isClosed = true
    }
    await this.#channel.close()
  }

  transmit(datagram: Uint8Array, { address, port }: DatagramEndpoint): void {
    if (!this.#isClosed) this.#channel.send(datagram, port, address)
  }

  deliver(bytes: Uint8Array, session: Session, unproven: boolean): void {
    this.#receiver?.message(bytes, session, unproven)
  }

  moved(session: Session, before: DatagramEndpoint): void {
    // A session without an id is found by its address alone, which is another peer's now.
    const other = this.#sessions.at(endpointKey(session.proven.address, session.proven.port))
    if (other !== undefined && other !== session && other.cid === undefined) other.end('lost')
    this.#sessions.move(session, before)
  }

  ended(session: Session, reason: SecuredEnd): void {
    if (this.#sessions.delete(session)) this.#receiver?.closed(session, reason)
  }
}
