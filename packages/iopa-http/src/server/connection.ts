import { type ByteChannel, type ByteReceiver, type Connection, type Context, IopaError, isIopaError } from '@iopa/transport'
import { acceptsEventStream } from '../events/event-stream.ts'
import { HttpMachine, NEXT_REQUEST, OVERLONG } from '../machine/http-machine.ts'
import { CLOSE, CLOSED, DISCARDING, FINISH, HALF_CLOSED, HEAD, LINGERING, PEER_END, PEER_GONE, RECEIVING } from '../machine/transitions.ts'
import { discard } from '../message/answer-fields.ts'
import { bodyStalled, DISCONNECTED, headerTimeout, INCOMPLETE, OVER } from '../message/refusal.ts'
import { Admission } from './admission.ts'
import { AnswerWriter } from './answer-writer.ts'
import { BodyWriter } from './body-writer.ts'
import { BODY_STALLED, ConnectionCheck, DEAD, HEAD_LATE } from './connection-check.ts'
import { NamedUser } from './named-user.ts'
import { PeerWatch } from './peer-watch.ts'
import { HttpRequest } from './request.ts'
import { BodyPort } from './request-body.ts'
import type { ConnectionSettings, ServedConnection } from './served-connection.ts'
import { refusalOf, Takeover, takerOf } from './takeover.ts'
import { WriteBuffer } from './write-buffer.ts'

/**
 * One connection: carries bytes between a channel and a machine, and requests between the machine and the app. What is
 * answered at once leaves in one write, however many requests one read has brought.
 */
export class HttpConnection implements ByteReceiver, ServedConnection {
  readonly #channel: ByteChannel
  readonly #counted: Connection
  readonly #settings: ConnectionSettings
  readonly #machine: HttpMachine
  readonly #buffer: WriteBuffer
  readonly #watch: PeerWatch
  /** Where the bodies of requests come from. */
  readonly #port: BodyPort
  readonly #bodies: BodyWriter
  readonly #answers: AnswerWriter
  readonly #admission: Admission
  readonly #check: ConnectionCheck
  readonly #user: NamedUser
  readonly #closed: () => void
  /** The request in work. */
  #request: HttpRequest | null = null
  #reading = false
  /** The channel has been told to read no more for now. */
  #paused = false
  /** This side has ended the connection. */
  #ended = false
  /** Another protocol has taken the connection. */
  #taken: Takeover | null = null

  /** `closed` is called when the connection is gone. */
  constructor(channel: ByteChannel, counted: Connection, settings: ConnectionSettings, closed: () => void) {
    const { host, clock, heads, limits } = settings
    this.#channel = channel
    this.#counted = counted
    this.#settings = settings
    const machine = (this.#machine = new HttpMachine(heads, limits))
    const buffer = (this.#buffer = new WriteBuffer(channel))
    const watch = (this.#watch = new PeerWatch(clock.elapsed()))
    this.#port = new BodyPort(machine, buffer, watch, () => this.#readOn())
    const bodies = (this.#bodies = new BodyWriter({ channel, counted, machine, buffer, watch, clock }))
    this.#answers = new AnswerWriter({ channel, machine, buffer, bodies, settings, settle: (request, reason) => this.#settle(request, reason) })
    this.#admission = new Admission(channel, settings)
    this.#check = new ConnectionCheck({ channel, machine, buffer, watch, limits })
    // The next request on a new connection has to say who it is.
    this.#user = new NamedUser(host, this.#admission.connection, () => {
      if (this.#request === null) this.finish()
      else machine.closes = true
    })
    this.#closed = closed
    channel.open(this)
  }

  data(chunk: Uint8Array): void {
    if (this.#taken !== null) this.#taken.data(chunk)
    else if (this.#reading) this.#machine.push(chunk)
    else this.#read(chunk)
  }

  end(): void {
    if (this.#taken?.ends() === true) return
    const machine = this.#machine
    if (!machine.may(PEER_END)) return
    const incomplete = machine.state === HEAD
    machine.step(this.#request?.endless === true ? PEER_GONE : PEER_END)
    if (machine.state === HALF_CLOSED) {
      machine.closes = true
      this.#starve()
      this.#check.halfClosed()
      return
    }
    this.#vanish()
    if (incomplete) this.#buffer.bytes(this.#settings.heads.last(this.#admission.refuse(INCOMPLETE)))
    this.#endOutput()
  }

  drain(): void {
    if (this.#taken?.drains() === true) return
    this.#counted.touch()
    this.#buffer.drained()
    this.#watch.waited('drain')
    this.#bodies.drain()
    this.#readOn()
  }

  close(error?: Error): void {
    this.#taken?.closes(error, this.#admission)
    this.#machine.step(CLOSE)
    this.#vanish()
    this.#user.close()
    this.#buffer.close()
    this.#check.close()
    this.#counted.remove()
    this.#closed()
  }

  /** Ends the connection, unless a request is in work on it, or another protocol has it. */
  finish(): void {
    if (this.#taken === null && this.#machine.may(FINISH)) this.#finish(this.#machine.state === DISCARDING)
  }

  /** Ends an observation: the observer hears of no further change. */
  endEvents(): void {
    if (this.#request?.context?.['iopa.Observe'] === true) void this.#request.context.end('shutdown')
  }

  /** Drops a connection whose peer keeps others waiting: it does not read, or does not send what it has begun to. */
  sweep(now: number): void {
    if (this.#taken !== null) return
    switch (this.#check.look(now)) {
      case DEAD:
        this.#channel.destroy()
        break
      case BODY_STALLED:
        if (this.#request !== null) this.#answers.fail(this.#request, bodyStalled(this.#settings.limits.idleTimeout))
        break
      case HEAD_LATE:
        this.#finishWith(headerTimeout(this.#settings.limits.headerTimeout))
    }
  }

  /** Goes on with what has come, as far as it can be answered or is wanted. */
  #readOn(): void {
    if (!this.#reading) this.#read(null)
  }

  #read(chunk: Uint8Array | null): void {
    const machine = this.#machine
    const buffer = this.#buffer
    if (machine.state === DISCARDING) this.#counted.touch()
    this.#reading = true
    try {
      let event = chunk === null ? machine.next(!buffer.blocked) : machine.receive(chunk, !buffer.blocked)
      while (event === NEXT_REQUEST) {
        this.#start()
        event = machine.next(!buffer.blocked)
      }
      if (event === OVERLONG) this.#finish(true)
    } catch (error) {
      this.#malformed(error)
    }
    this.#reading = false
    if (machine.state === HALF_CLOSED) this.#starve()
    if (machine.state >= LINGERING || this.#taken !== null) return
    if (this.#request === null) buffer.flush()
    // Others that were pipelined are in work: their answers may be there before the next turn.
    else buffer.flushSoon()
    if (machine.full !== this.#paused) this.#regulate()
  }

  /** Runs the request that the machine has read, or answers it without a context. */
  #start(): void {
    const { host, limits } = this.#settings
    const machine = this.#machine
    const request = new HttpRequest(machine.head, limits.body, this.#port)
    this.#request = request
    const context = this.#admission.admit(request)
    if ('sealed' in context) {
      machine.body.refused = true
      if (request.doubtful) machine.closes = true
      this.#answers.write(request, context)
      return
    }
    request.context = context
    const { accept, upgrade } = request.fields
    if (upgrade !== '' && this.#isTaken(request, context)) return
    if (accept !== '' && request.method === 'GET' && acceptsEventStream(accept)) this.#answers.observe(request, context)
    else host.run(context, this.#done)
    if (this.#request === request) this.#counted.busy(1)
  }

  /** True for an upgrade: another protocol has the connection, behind the answers to what was pipelined before, or has refused it. */
  #isTaken(request: HttpRequest, context: Context): boolean {
    const taker = takerOf(this.#settings, request, context)
    const refusal = taker === undefined ? null : refusalOf(taker, context, this.#admission)
    if (refusal !== null) this.#answers.write(request, refusal)
    if (taker === undefined || refusal !== null) return taker !== undefined
    this.#request = null
    this.#buffer.flush()
    this.#taken = new Takeover(this.#channel, this.#counted, request)
    this.#taken.begin(taker, context, this.#machine.takeRest())
    return true
  }

  readonly #done = (context: Context): void => {
    const request = this.#request
    const answer = context.response
    if (request?.context !== context) {
      discard(answer)
      return
    }
    // A deadline that ran out while the body came is no early answer: the rest has no more time.
    if (this.#machine.state === RECEIVING && answer.error?.code === 'timeout') this.#machine.closes = request.late = true
    this.#answers.write(request, answer)
  }

  #settle(request: HttpRequest, reason: 'finish' | 'reset'): void {
    const { context } = request
    this.#request = null
    request.over = true
    // The body must not be read into that of the next request.
    if (request.fields.length !== 0) request.break(OVER)
    if (context !== null) {
      void context.end(reason)
      this.#user.settled(context)
      this.#counted.busy(0)
    } else this.#counted.touch()
    if (request.client !== '') this.#admission.leave(request)
    const { state } = this.#machine
    if (state === LINGERING) this.#endOutput(this.#machine.body.unread, request.late)
    else if (state !== CLOSED && !this.#reading) this.#read(null)
  }

  #malformed(error: unknown): void {
    const machine = this.#machine
    const fault = isIopaError(error) ? error : new IopaError(500, 'internal-error')
    if (!isIopaError(error)) this.#settings.host.logger.error('iopa: an HTTP connection failed', error)
    machine.measure()
    // There is nothing to say within a body whose request has been answered.
    if (machine.state === DISCARDING) this.#finish(true)
    else if (this.#request === null) this.#finishWith(fault)
    else this.#break(this.#request, fault)
  }

  /** The body of the request in work will never be complete. */
  #break(request: HttpRequest, fault: IopaError): void {
    this.#machine.body.broken = true
    request.break(fault)
  }

  /** After its end the peer sends nothing more: a body that is not complete never will be. */
  #starve(): void {
    const { body, empty } = this.#machine
    if (this.#request !== null && body.unread && empty) this.#break(this.#request, DISCONNECTED)
  }

  #regulate(): void {
    this.#paused = this.#machine.full
    if (this.#paused) this.#channel.pause()
    else this.#channel.resume()
  }

  /** Says why, and ends the connection. */
  #finishWith(error: IopaError): void {
    if (!this.#machine.may(FINISH)) return
    this.#buffer.bytes(this.#settings.heads.last(this.#admission.refuse(error)))
    this.#finish()
  }

  /** Ends the connection, on which no request is in work. */
  #finish(owing = false): void {
    this.#machine.step(FINISH)
    this.#endOutput(owing)
  }

  /** Ends this side after what was written; what the peer still sends, of a body that it owes or not, is thrown away. */
  #endOutput(owing = false, late = false): void {
    if (this.#ended) return
    this.#ended = true
    this.#check.lingers(this.#settings.lingering.begin(owing, late))
    this.#buffer.flush()
    this.#channel.end()
    this.#machine.drop()
    if (this.#paused) this.#regulate()
  }

  /** The peer has gone: what is in work for it ends. */
  #vanish(): void {
    const request = this.#request
    const reason = this.#settings.closing ? 'shutdown' : 'disconnect'
    this.#request = null
    this.#machine.abandon()
    if (request !== null) {
      request.over = true
      this.#bodies.abandon()
      if (request.client !== '') this.#admission.leave(request)
      request.break(DISCONNECTED)
      void request.context?.end(reason)
    }
    void this.#admission.connection.end(reason)
  }
}
