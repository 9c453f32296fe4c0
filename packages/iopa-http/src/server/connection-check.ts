import type { ByteChannel, Limits } from '@iopa/transport'
import type { HttpMachine } from '../machine/http-machine.ts'
import { CLOSED, DISCARDING, HALF_CLOSED, HEAD, IDLE, LINGERING } from '../machine/transitions.ts'
import type { Linger } from './lingering.ts'
import type { PeerWatch } from './peer-watch.ts'
import type { WriteBuffer } from './write-buffer.ts'

/** What a connection check works with. */
export interface CheckPorts {
  readonly channel: ByteChannel
  readonly machine: HttpMachine
  readonly buffer: WriteBuffer
  readonly watch: PeerWatch
  readonly limits: Pick<Limits, 'idleTimeout' | 'headerTimeout'>
}

/** Nothing is to be done. */
const HEALTHY = 0
/** The peer keeps others waiting, or has gone: the connection is to be dropped. */
export const DEAD = 1
/** The body of the answer makes no progress. */
export const BODY_STALLED = 2
/** The head of a request does not come. */
export const HEAD_LATE = 3

/** Looks at one connection now and then; requests pay nothing for it. */
export class ConnectionCheck {
  readonly #channel: ByteChannel
  readonly #machine: HttpMachine
  readonly #buffer: WriteBuffer
  readonly #watch: PeerWatch
  readonly #limits: Pick<Limits, 'idleTimeout' | 'headerTimeout'>
  #halfClosed: HalfClosedPeer | null = null
  #linger: Linger | null = null

  constructor({ channel, machine, buffer, watch, limits }: CheckPorts) {
    this.#channel = channel
    this.#machine = machine
    this.#buffer = buffer
    this.#watch = watch
    this.#limits = limits
  }

  /** The peer has ended its side while its answer leaves. */
  halfClosed(): void {
    this.#halfClosed = new HalfClosedPeer(this.#machine, this.#buffer)
  }

  /** This side has ended the connection, which takes in what comes for as long as `linger` allows. */
  lingers(linger: Linger): void {
    this.#linger = linger
  }

  /** The connection is gone. */
  close(): void {
    this.#linger?.end()
  }

  /** What is wrong at `now`, in milliseconds of the clock. */
  look(now: number): number {
    const { state, received } = this.#machine
    if (state === CLOSED) return HEALTHY
    const { idleTimeout } = this.#limits
    const { buffered } = this.#channel
    if (this.#buffer.blocked || (state === LINGERING && buffered > 0)) this.#watch.ensureDrain()
    this.#halfClosed?.probe()
    if (this.#watch.stalled(now, idleTimeout, received, buffered)) return DEAD
    if (state === HALF_CLOSED && this.#halfClosed?.isGone(now, this.#watch) === true) return DEAD
    if (this.#watch.silent(now, idleTimeout, received)) return BODY_STALLED
    if (this.#linger !== null) return this.#linger.over(now, received, buffered) ? DEAD : HEALTHY
    return state === IDLE || state === HEAD || state === DISCARDING ? this.#lookAtNext(now) : HEALTHY
  }

  /** The wait for the rest of a head, or of a body that is read over. */
  #lookAtNext(now: number): number {
    const { state, received, requests } = this.#machine
    const discarding = state === DISCARDING
    const owing = state === HEAD || received === 0 || discarding
    if (!owing) this.#machine.forget()
    // A header has its time in all. The rest of a body that is not read may take long, as long as it comes.
    if (!this.#watch.late(now, this.#limits.headerTimeout, owing, discarding ? received : requests)) return HEALTHY
    return state === HEAD && !this.#buffer.blocked ? HEAD_LATE : DEAD
  }
}

/** Leads the size of the next chunk (RFC 9112 section 7.1), and changes nothing. */
const LEADING_ZERO = '0'
const MOST_PROBES = 3
/** Milliseconds that a stream which has no chunks may be silent. */
const SILENCE = 5000

/**
 * A peer that has ended its side while its answer leaves. It may still read, or be gone altogether, which looks the same.
 * One that is gone answers whatever it is sent with a reset, and the next write meets that.
 */
class HalfClosedPeer {
  readonly #machine: HttpMachine
  readonly #buffer: WriteBuffer
  #probes = 0

  constructor(machine: HttpMachine, buffer: WriteBuffer) {
    this.#machine = machine
    this.#buffer = buffer
    this.probe()
    setImmediate(() => this.probe())
  }

  /** Sends what makes no difference to a peer that reads. */
  probe(): void {
    if (!this.#machine.chunked || this.#probes === MOST_PROBES) return
    this.#probes++
    this.#buffer.text(LEADING_ZERO)
    this.#buffer.flush()
  }

  /** True when a stream that no probe can be sent in is silent: then the peer counts as gone. */
  isGone(now: number, watch: PeerWatch): boolean {
    return !this.#machine.chunked && watch.silent(now, SILENCE, this.#machine.received)
  }
}
