import { randomBytes } from 'node:crypto'
import {
  type DatagramChannel,
  type DatagramEndpoint,
  IopaError,
  type SecuredChannel,
  type SecuredIdentity,
  type SecuredPeer,
  type SecuredReceiver,
  type SecuredTarget,
  type SecurityEnvironment
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
import { LiveSessions } from './live-sessions.ts'
import { Opening, type OpeningEvents, yields } from './opening.ts'
import { endpointKey } from './session-table.ts'

/** What a channel was configured with. */
export interface ChannelSetting {
  readonly exchanges: readonly KeyExchange[]
  readonly serverSessions?: ServerSessions
  readonly clientSessions?: ClientSessions
  readonly cid: boolean
  /** Milliseconds without a record after which a session ends. */
  readonly idle: number
  /** None of the sessions that are kept for these identities may be resumed. */
  revoke?(matches: (identity: SecuredIdentity) => boolean): void
}

const RANDOM = [2, 34] as const

/** DTLS over one datagram channel, in both roles: finds the session or handshake that a record belongs to. */
export class DtlsChannel implements SecuredChannel {
  readonly localAddress: string
  readonly localPort: number
  readonly raw: unknown
  readonly #channel: DatagramChannel
  readonly #environment: SecurityEnvironment
  readonly #setting: ChannelSetting
  readonly #gate: HelloGate
  readonly #sessions: LiveSessions
  readonly #handshakes: HandshakeTable
  readonly #openings = new Map<string, Opening>()
  readonly #ciphers = new RecordCiphers()
  /** Nothing begins any more, so that what the end of a session causes does not outlive the channel. */
  #isClosing = false
  #isClosed = false

  constructor(channel: DatagramChannel, environment: SecurityEnvironment, setting: ChannelSetting) {
    const { clock } = environment
    this.localAddress = channel.localAddress
    this.localPort = channel.localPort
    this.raw = channel.raw
    this.#channel = channel
    this.#environment = environment
    this.#setting = setting
    this.#gate = new HelloGate(clock.elapsed())
    const transmit = (datagram: Uint8Array, to: DatagramEndpoint): void => this.#transmit(datagram, to)
    this.#sessions = new LiveSessions({ environment, idle: setting.idle, transmit })
    this.#handshakes = new HandshakeTable(clock)
  }

  open(receiver: SecuredReceiver): void {
    this.#sessions.open(receiver)
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
    const session = cid === undefined ? this.#sessions.table.at(key) : this.#sessions.table.withCid(cid)
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
    if ('answer' in verdict) this.#transmit(verdict.answer, peer)
    else this.#accept(verdict.accepted, record.sequence, peer)
  }

  #accept({ type, sequence, body }: WholeMessage, recordSequence: number, peer: DatagramEndpoint): void {
    // A copy: a view would keep the whole datagram, which may be much larger, for as long as the handshake takes.
    const hello = { type, sequence, body: new Uint8Array(body) }
    const random = hello.body.subarray(...RANDOM)
    const pending = this.#handshakes.at(endpointKey(peer.address, peer.port))
    if (pending?.hello !== undefined) {
      // Sent again.
      if (Buffer.compare(pending.hello, random) === 0) return
      // The client has begun again: its address is proven, so it was the client.
      pending.handshake.fail(new HandshakeFailure(ALERT.USER_CANCELED, 'The client has begun another handshake.'), true)
    } else if (pending !== undefined && !yields(pending.handshake, random)) return
    if (!this.#handshakes.admit(peer.address)) {
      this.#environment.refused?.(peer, 'too-many-connections')
      return
    }
    this.#openings.get(endpointKey(peer.address, peer.port))?.makeWay()
    const cid = this.#newCid()
    const refused = (): void => {
      this.#environment.refused?.(peer, 'tls-handshake-failed')
      queueMicrotask(() => this.#resume(endpointKey(peer.address, peer.port)))
    }
    const events = this.#events(peer, result => this.#establish(result, peer), refused)
    const setting = { ...this.#common(cid), events, sessions: this.#setting.serverSessions, peer, hello, recordSequence }
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
      send: datagram => this.#transmit(datagram, peer),
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
    const session = this.#sessions.accept(result, peer)
    const suits = this.#setting.exchanges.some(exchange => exchange.suitsServer?.(result.identity) === true)
    this.#openings.get(endpointKey(peer.address, peer.port))?.met(session, suits)
  }

  connect(target: SecuredTarget, signal: AbortSignal): Promise<SecuredPeer> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const { address, port } = target
      const key = endpointKey(address, port)
      if (this.#isClosing) throw new IopaError(503, 'closed', 'This channel is closed: open another one.')
      if (this.#openings.has(key)) throw new IopaError(502, 'handshake-failed', `A handshake with ${address}:${port} is under way: wait for it.`)
      const opening = new Opening({
        target,
        signal,
        shake: events => this.#shake(target, events),
        admit: result => this.#sessions.admit(result, { address, port }),
        ended: () => this.#openings.delete(key),
        resolve,
        reject
      })
      this.#openings.set(key, opening)
      this.#resume(key)
    })
  }

  /** Begins the handshake of a call that waits, unless the peer has begun one: that may serve as well. */
  #resume(key: string): void {
    if (this.#handshakes.at(key) === undefined) this.#openings.get(key)?.begin()
  }

  #shake(target: SecuredTarget, { established, failed }: OpeningEvents): ClientHandshake {
    const cid = this.#newCid()
    const events = this.#events(target, established, failed)
    const handshake = new ClientHandshake({ ...this.#common(cid), events, sessions: this.#setting.clientSessions, target })
    this.#handshakes.add({ handshake, peer: target, cid: cid && cidKey(cid), hello: undefined })
    handshake.begin()
    this.#handshakes.arm(target)
    return handshake
  }

  revoke(matches: (identity: SecuredIdentity) => boolean): void {
    this.#setting.revoke?.(matches)
    this.#sessions.end('revoked', matches)
    for (const { handshake } of this.#handshakes)
      if (handshake instanceof ServerHandshake && matches(handshake.claimed))
        handshake.fail(new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'The user was revoked.'), true)
  }

  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true
      for (const opening of this.#openings.values()) opening.close()
      for (const { handshake } of this.#handshakes) handshake.fail(new HandshakeFailure(ALERT.USER_CANCELED, 'The channel was closed.'), true)
      this.#sessions.close()
      this.#isClosed = true
    }
    await this.#channel.close()
  }

  #transmit(datagram: Uint8Array, { address, port }: DatagramEndpoint): void {
    if (!this.#isClosed) this.#channel.send(datagram, port, address)
  }
}
