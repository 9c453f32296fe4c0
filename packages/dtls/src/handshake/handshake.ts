import { timingSafeEqual } from 'node:crypto'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import type { ProvenIdentity } from '../key-exchange/key-exchange.ts'
import { CONTENT, contentOf, type ReceivedRecord } from '../records/record.ts'
import type { DirectionKeys, RecordCiphers } from '../records/record-cipher.ts'
import type { RecordLayer } from '../records/record-layer.ts'
import { verifyData, wipe } from '../suites/key-schedule.ts'
import { type FlightPart, flightDatagrams } from './flight.ts'
import { MESSAGE } from './message.ts'
import { Reassembly, readFragments, type WholeMessage } from './reassembly.ts'
import { Retransmission } from './retransmission.ts'
import { Transcript } from './transcript.ts'
import { eventNumber, type HandshakeEvent, REFUSED, type TransitionTable } from './transitions.ts'

/** What a handshake has led to. */
export interface Established {
  readonly identity: ProvenIdentity
  readonly records: RecordLayer
  /** Sent again when the peer sends its Finished again; empty where the peer has the last flight. */
  readonly lastFlight: readonly FlightPart[]
  /** The number of the peer's Finished. */
  readonly peerFinished: number
  /** Records carry our connection id, and that of the peer where it is not empty. */
  readonly ownCid: Uint8Array | undefined
}

/** Where the events of a handshake go. None may throw. */
export interface HandshakeEvents {
  send(datagram: Uint8Array): void
  established(result: Established): void
  failed(failure: HandshakeFailure): void
  /** A step that took time is done: `due` may have changed. */
  progressed(): void
}

/** What both roles begin with. */
export interface HandshakeSetting {
  readonly events: HandshakeEvents
  /** Milliseconds that have passed, as in `Clock`. */
  now(): number
  /** Our connection id, where we want one. */
  readonly cid: Uint8Array | undefined
  /** Those of the channel. */
  readonly ciphers: RecordCiphers
  /** Each step of the table as it is tried, for tests of its coverage. */
  trace?(state: number, event: number): void
}

/** Records of epoch 1 that came before their turn. */
const MOST_HELD = 4
const LARGEST_HELD = 512
const EVENT_OF_TYPE: ReadonlyMap<number, HandshakeEvent> = new Map(Object.entries(MESSAGE).map(([name, type]) => [type, name as HandshakeEvent]))

/** A handshake, without input and output: it takes records and times, and gives datagrams and one outcome. The roles extend it. */
export abstract class Handshake {
  readonly records: RecordLayer
  protected readonly setting: HandshakeSetting
  protected readonly retransmission: Retransmission = new Retransmission()
  protected transcript: Transcript = new Transcript()
  protected master: Buffer | undefined
  readonly #table: TransitionTable
  readonly #reassembly: Reassembly
  readonly #abort = new AbortController()
  readonly #held: ReceivedRecord[] = []
  #state = 0
  #flight: readonly FlightPart[] = []
  #nextSequence: number
  /** The peer's keys wait for its ChangeCipherSpec. */
  #peerKeys: DirectionKeys | undefined
  #cipherChanged = false
  #isBusy = false
  #isDeaf = false
  #hasEnded = false

  constructor(table: TransitionTable, setting: HandshakeSetting, records: RecordLayer, room: number, sequences: { own: number; peer: number }) {
    this.#table = table
    this.setting = setting
    this.records = records
    this.#reassembly = new Reassembly(room, sequences.peer)
    this.#nextSequence = sequences.own
  }

  /** Begins: the first flight leaves. */
  abstract begin(): void
  /** A message that the table admits. */
  protected abstract handle(message: WholeMessage): void
  /** The peer's Finished was verified, and is in the transcript. */
  protected abstract finished(message: WholeMessage): void
  /** A protected record could not be opened. */
  protected abstract unopened(): void
  /** A fatal alert came in the clear. */
  protected abstract noteAlert(alert: number): void
  /** When `expire` has something to do, as `now` counts. */
  abstract readonly due: number
  /** Called at `due`. */
  abstract expire(): void
  /** The keys that the peer protects with, and whether its records carry our connection id. */
  protected abstract readonly peerRole: 'client' | 'server'
  protected abstract readonly usesCid: boolean

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Aborted when the handshake has ended. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** A record from the peer's address. */
  receive(record: ReceivedRecord): void {
    if (this.#hasEnded || this.#isDeaf) return
    this.attempt(() => {
      if (record.epoch === 0) this.#receivePlain(record)
      else if (record.epoch === 1) this.#receiveProtected(record)
      this.#pump()
    })
  }

  #receivePlain(record: ReceivedRecord): void {
    const content = contentOf(record)
    if (record.type === CONTENT.HANDSHAKE) this.#addFragments(content, false)
    else if (record.type === CONTENT.CHANGE_CIPHER_SPEC) this.#cipherChanged ||= content.length === 1 && content[0] === 1
    else if (record.type === CONTENT.ALERT && content.length === 2 && content[0] === 2) this.noteAlert(content[1]!)
  }

  #receiveProtected(record: ReceivedRecord): void {
    const { opener } = this.records
    if (opener === undefined) {
      // Reordered, or faster than a step that takes time. It is opened when its turn has come.
      if (this.#held.length < MOST_HELD && record.end - record.start <= LARGEST_HELD) {
        // A copy: `slice` of a Buffer would keep the whole datagram.
        const datagram = new Uint8Array(record.datagram.subarray(record.start, record.end))
        this.#held.push({ ...record, datagram, start: 0, content: record.content - record.start, end: datagram.length })
      }
      return
    }
    const opened = opener.open(record)
    if (opened === undefined) this.unopened()
    else if (opened.type === CONTENT.HANDSHAKE) this.#addFragments(opened.content, true)
    else if (opened.type === CONTENT.ALERT && opened.content.length === 2 && opened.content[0] === 2)
      throw new HandshakeFailure(ALERT.CLOSE_NOTIFY, `The peer has ended the handshake with alert ${opened.content[1]}.`)
  }

  /** Once the peer's records are protected, nothing in the clear counts. */
  #addFragments(content: Uint8Array, isProtected: boolean): void {
    if (isProtected !== (this.records.opener !== undefined)) return
    for (const fragment of readFragments(content) ?? []) this.#reassembly.add(fragment)
  }

  #pump(): void {
    while (!this.#isBusy && !this.#isDeaf && !this.#hasEnded) {
      const message = this.#reassembly.take()
      if (message !== undefined) this.#step(message)
      else if (this.#cipherChanged && this.#peerKeys !== undefined && this.admits('CHANGE_CIPHER_SPEC')) this.#changeCipherSpec(this.#peerKeys)
      else return
    }
  }

  #step(message: WholeMessage): void {
    const event = EVENT_OF_TYPE.get(message.type)
    if (event === undefined) throw new HandshakeFailure(ALERT.UNEXPECTED_MESSAGE, `There is no handshake message ${message.type}.`)
    this.decide(event)
    if (message.type !== MESSAGE.FINISHED) {
      this.handle(message)
      return
    }
    const expected = verifyData(this.peerRole, this.master!, this.transcript.digest())
    const isRight = message.body.length === expected.length && timingSafeEqual(message.body, expected)
    if (!isRight) throw new HandshakeFailure(ALERT.DECRYPT_ERROR, 'The Finished of the peer is wrong.')
    this.transcript.add(message.type, message.sequence, message.body)
    this.finished(message)
  }

  #changeCipherSpec(keys: DirectionKeys): void {
    this.decide('CHANGE_CIPHER_SPEC')
    this.records.protectReceiving(keys, this.usesCid)
    this.#reassembly.clear()
    for (const record of this.#held.splice(0)) this.#receiveProtected(record)
  }

  /** True where the table has the event in the present state. */
  protected admits(event: HandshakeEvent): boolean {
    return this.#table.next[this.#state * this.#table.events.length + eventNumber(event)] !== REFUSED
  }

  /** Goes to the next state. @throws HandshakeFailure where the table has none. */
  protected decide(event: HandshakeEvent): void {
    const number = eventNumber(event)
    this.setting.trace?.(this.#state, number)
    const next = this.#table.next[this.#state * this.#table.events.length + number]!
    if (next === REFUSED) throw new HandshakeFailure(ALERT.UNEXPECTED_MESSAGE, `${event} must not come in state ${this.#table.states[this.#state]}.`)
    this.#state = next
  }

  /** The peer may use these keys once it has sent ChangeCipherSpec. */
  protected expectKeys(keys: DirectionKeys): void {
    this.#peerKeys = keys
  }

  /** Continues with a value, at once or when it is there; what arrives meanwhile waits. */
  protected after<Value>(value: Value | Promise<Value>, next: (value: Value) => void): void {
    if (!(value instanceof Promise)) {
      next(value)
      return
    }
    this.#isBusy = true
    const resume = (step: () => void): void => {
      this.#isBusy = false
      if (this.#hasEnded) return
      this.attempt(() => {
        step()
        this.#pump()
      })
      this.setting.events.progressed()
    }
    value.then(
      result => resume(() => next(result)),
      (error: unknown) =>
        resume(() => {
          throw error
        })
    )
  }

  /** A message of a flight, with its number, in the transcript. */
  protected write(type: number, body: Uint8Array): FlightPart {
    const sequence = this.#nextSequence++
    this.transcript.add(type, sequence, body)
    return { type, sequence, body }
  }

  /** Sends a flight, and again until the peer answers; the last flight of a handshake is sent once. */
  protected sendFlight(flight: readonly FlightPart[], isLast = false): void {
    this.#flight = flight
    if (isLast) this.retransmission.stop()
    else this.retransmission.start(this.setting.now())
    this.#transmit()
  }

  /** Sends the flight again, with new record numbers. */
  protected retransmit(): void {
    this.retransmission.again(this.setting.now())
    this.#transmit()
  }

  #transmit(): void {
    for (const datagram of flightDatagrams(this.#flight, this.records)) this.setting.events.send(datagram)
  }

  protected establish(result: Omit<Established, 'records'>): void {
    this.#end()
    this.setting.events.established({ ...result, records: this.records })
  }

  /** Runs a step; what it throws ends the handshake. */
  protected attempt(step: () => void): void {
    try {
      step()
    } catch (error) {
      const failure =
        error instanceof HandshakeFailure
          ? error
          : new HandshakeFailure(ALERT.INTERNAL_ERROR, 'A step of the handshake has failed.', { cause: error })
      this.refuse(failure)
    }
  }

  /** A step has failed. */
  protected refuse(failure: HandshakeFailure): void {
    this.fail(failure)
  }

  /** Takes nothing any more from the peer, and waits for its end. */
  protected ignorePeer(): void {
    this.#isDeaf = true
    this.#held.length = 0
  }

  /** Ends without success; the peer gets an alert unless it is not to be answered. */
  fail(failure: HandshakeFailure, isSilent = false): void {
    if (this.#hasEnded) return
    this.#end()
    const alert = Uint8Array.of(2, failure.alert)
    if (!isSilent && failure.alert !== ALERT.CLOSE_NOTIFY)
      this.setting.events.send(this.records.sealer?.seal(CONTENT.ALERT, alert) ?? this.records.plain(CONTENT.ALERT, alert))
    this.records.wipe()
    wipe(this.#peerKeys?.secrets)
    this.setting.events.failed(failure)
  }

  #end(): void {
    this.#hasEnded = true
    this.#held.length = 0
    this.retransmission.stop()
    wipe(this.master)
    this.#abort.abort()
  }
}
