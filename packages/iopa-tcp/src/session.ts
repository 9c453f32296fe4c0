import {
  answerUnrun,
  type ByteChannel,
  type ByteReceiver,
  type Clock,
  type Connection,
  ConnectionUser,
  type Context,
  type Counters,
  type Endpoint,
  type EndReason,
  HeldBuffer,
  type Host,
  IopaError,
  isIopaError,
  Outbox
} from '@iopa/transport'
import { AnswerWriter } from './answer-writer.ts'
import { BagRequests, bagFormat } from './bag-requests.ts'
import { DataRequests, dataFormat } from './data-requests.ts'
import type { FrameReceiver } from './frame-receiver.ts'
import type { Framing } from './framing.ts'
import { TcpMachine } from './machine/tcp-machine.ts'
import { BROKEN, CLOSE, CLOSED, FAULT, FINISH, FINISHING, PEER_END, STOP, STOPPED } from './machine/transitions.ts'
import { PeerWatch } from './peer-watch.ts'

/** What the sessions of one listener share. */
export interface SessionSettings {
  readonly host: Host
  readonly counters: Counters
  readonly clock: Clock
  readonly framing: Framing
  /** Frames are bags. */
  readonly bag: boolean
  /** The longest frame, in bytes. */
  readonly frameLimit: number
  readonly scheme: string
  /** True once the listener is closing: what is in work is finished, nothing is begun. */
  closing: boolean
}

// Ignored before the next line, as white space is before any JSON text (RFC 8259 section 2).
const SPACE = Uint8Array.of(0x20)

/**
 * One connection of a listener: carries bytes between a channel and a machine, and frames to their receiver. What was
 * finished while a chunk was read leaves in one write at its end, later answers with all others of the same turn of the
 * event loop.
 */
export class Session implements ByteReceiver {
  readonly #channel: ByteChannel
  readonly #counted: Connection
  readonly #settings: SessionSettings
  /** Most requests in work. */
  readonly #most: number
  readonly #machine: TcpMachine
  readonly #outbox: Outbox
  readonly #watch: PeerWatch
  /** What has come of a frame, among the bodies in memory. */
  readonly #held: HeldBuffer
  /** A frame has begun and is not complete. */
  #holding = false
  readonly #connection: Context
  readonly #user: ConnectionUser
  readonly #answers: AnswerWriter
  readonly #requests: FrameReceiver
  #pumping = false
  #scheduled = false
  #paused = false
  #silent = true
  #reason: EndReason = 'disconnect'

  constructor(channel: ByteChannel, counted: Connection, settings: SessionSettings) {
    const { host, clock, framing, counters, bag } = settings
    this.#channel = channel
    this.#counted = counted
    this.#settings = settings
    this.#most = host.limits.inFlightPerConnection
    this.#machine = new TcpMachine(framing.reader(settings.frameLimit))
    this.#outbox = new Outbox(channel, host.limits)
    this.#watch = new PeerWatch(channel, clock, host.limits.idleTimeout)
    this.#held = new HeldBuffer(host.scope.environment.bodies)
    const endpoint = endpointOf(channel, settings)
    this.#connection = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint, source: null })
    // No pipeline runs for a connection, so there is nothing to wait for before its keys are inherited.
    answerUnrun(this.#connection, 204)
    this.#user = new ConnectionUser(host, this.#connection, error => this.#userEnded(error))
    const schedule = (): void => this.#schedule()
    this.#answers = new AnswerWriter({
      host,
      endpoint,
      connection: this.#connection,
      user: this.#user,
      outbox: this.#outbox,
      format: bag ? bagFormat : dataFormat(framing),
      schedule,
      drained: () => this.#drained(),
      destroy: () => channel.destroy()
    })
    const ports = { host, endpoint, connection: this.#connection, answers: this.#answers, counted, counters, schedule }
    this.#requests = bag ? new BagRequests(ports) : new DataRequests(ports)
    if (Number.isFinite(host.limits.headerTimeout)) this.#watch.first(host.limits.headerTimeout, () => this.finish('timeout'))
    channel.open(this)
  }

  data(chunk: Uint8Array): void {
    this.#counted.touch()
    if (this.#silent) {
      this.#silent = false
      this.#watch.spoken()
    }
    if (this.#machine.state >= STOPPED) return
    if (!this.#ready && !this.#paused) {
      this.#paused = true
      this.#channel.pause()
    }
    this.#machine.receive(chunk)
    this.#pump()
  }

  end(): void {
    if (!this.#machine.may(PEER_END)) return
    this.#machine.step(PEER_END)
    this.#pump()
  }

  drain(): void {
    this.#counted.touch()
    this.#outbox.onDrain()
    this.#watch.moved()
    this.#pump()
  }

  close(): void {
    this.#machine.step(CLOSE)
    this.#answers.close()
    this.#held.free()
    this.#watch.close()
    this.#user.close()
    this.#outbox.onClose()
    this.#counted.remove()
    void this.#connection.end(this.#reason)
  }

  /** Ends the connection when everything written has left; `reason` is that of its scope. */
  finish(reason: EndReason): void {
    if (!this.#machine.may(FINISH)) return
    this.#machine.step(FINISH)
    this.#reason = reason
    this.#outbox.flush()
    this.#channel.end()
    // The peer's end is only seen by reading on.
    if (this.#paused) this.#channel.resume()
    this.#watch.leave()
  }

  #schedule(): void {
    if (this.#scheduled || this.#pumping) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  #drained(): Promise<void> {
    this.#watchStall()
    return this.#outbox.drained()
  }

  #userEnded(error: IopaError): void {
    if (!this.#machine.may(STOP)) return
    this.#stop(STOP)
    this.#requests.userEnded(error)
    this.#schedule()
  }

  get #ready(): boolean {
    const { closing } = this.#settings
    return this.#machine.state < STOPPED && !closing && this.#answers.inFlight < this.#most && this.#outbox.writable
  }

  #pump(): void {
    if (this.#pumping || this.#machine.state === CLOSED) return
    this.#pumping = true
    this.#outbox.cork()
    this.#answers.sendFinished()
    try {
      this.#read()
    } catch (error) {
      if (!isIopaError(error)) this.#settings.host.logger.error('iopa: a TCP session failed', error)
      this.#fail(isIopaError(error) ? error : new IopaError(500, 'internal-error'))
    }
    this.#outbox.uncork()
    this.#pumping = false
    this.#counted.busy(this.#answers.inFlight)
    if (this.#machine.state < FINISHING) this.#rest()
  }

  #read(): void {
    const machine = this.#machine
    while (this.#ready) {
      const frame = machine.next()
      // A frame that lies whole in a chunk takes no room.
      if (frame === null || this.#holding) {
        const { room } = machine
        this.#holding = room > 0
        this.#held.resize(room, this.#connection)
      }
      if (frame === null) return
      this.#requests.receive(frame)
    }
  }

  /** After all that could be done at once: waits for the peer, or ends the connection. */
  #rest(): void {
    const machine = this.#machine
    if (machine.state >= STOPPED && this.#answers.inFlight === 0) {
      if (machine.state === BROKEN || !this.#requests.occupied) {
        this.finish('disconnect')
        return
      }
      this.#watch.probe(() => {
        if (this.#outbox.writable) this.#outbox.write(SPACE)
      })
    } else if (this.#paused && machine.empty && this.#ready) {
      this.#paused = false
      this.#channel.resume()
    }
    if (machine.pending > 0) this.#watchFrame()
    if (!this.#outbox.writable) this.#watchStall()
  }

  /** Reads no more. */
  #stop(event: typeof STOP | typeof FAULT): void {
    if (this.#machine.may(event)) this.#machine.step(event)
    this.#held.free()
  }

  /** The bytes of the peer cannot be understood any more: says so, and ends after what is in work. */
  #fail(error: IopaError): void {
    this.#stop(FAULT)
    this.#settings.counters.refusal(error.status, error.code, this.#channel)
    this.#answers.refuse(error)
  }

  /** A message that has begun must be whole within the time of a request, however slowly its bytes come. */
  #watchFrame(): void {
    const { requestTimeout } = this.#settings.host.limits
    const machine = this.#machine
    const { frames } = machine
    this.#watch.frame(requestTimeout, () => {
      if (machine.state >= STOPPED || machine.pending === 0) return
      if (frames !== machine.frames || this.#paused) return this.#watchFrame()
      this.#fail(new IopaError(408, 'frame-timeout', `A message must be whole within ${requestTimeout} ms.`))
      this.#pump()
    })
  }

  #watchStall(): void {
    this.#watch.stall(() => {
      this.#reason = 'timeout'
    })
  }
}

const endpointOf = (channel: ByteChannel, { scheme, host }: SessionSettings): Endpoint => ({
  scheme,
  protocol: 'TCP/1.0',
  remoteAddress: channel.remoteAddress,
  remotePort: channel.remotePort,
  localAddress: channel.localAddress,
  localPort: channel.localPort,
  tls: channel.tls,
  sessionId: `${channel.localAddress}:${channel.localPort}-${channel.remoteAddress}:${channel.remotePort}`,
  rawTransport: channel.raw,
  bodyLimit: host.limits.body,
  clientCertificate: () => channel.clientCertificate?.()
})
