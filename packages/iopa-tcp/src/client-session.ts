import {
  answerTimeout,
  type BagRequest,
  type BagSeq,
  type ByteChannel,
  type ByteReceiver,
  badAnswer,
  type Clock,
  channelClosed,
  connectionLost,
  decodeBagAnswer,
  encodeBagRequest,
  IopaError,
  type Limits,
  type LinkAnswer,
  Outbox,
  receivedAnswer,
  type TimerHandle
} from '@iopa/transport'
import { AnswerQueue } from './answer-queue.ts'
import { lastSeq, seqOf, tooLarge } from './answer-seq.ts'
import type { FrameReader, Framing } from './framing.ts'
import { refusalError } from './refusal-error.ts'

/** What the connections of one channel share. */
export interface ClientSettings {
  readonly framing: Framing
  /** True when frames are bags. */
  readonly bag: boolean
  /** The longest frame, in bytes. */
  readonly frameLimit: number
  readonly limits: Limits
  readonly clock: Clock
  /** Milliseconds for each request to be answered. */
  readonly timeout: number
}

interface Waiting {
  readonly due: number
  resolve(answer: LinkAnswer): void
  reject(error: unknown): void
}

const NOTHING: Waiting = { due: Number.POSITIVE_INFINITY, resolve: () => undefined, reject: () => undefined }
// Beyond this many bytes the requests of one turn leave before all of them are made, so that a slow peer is noticed.
const FLUSH_BYTES = 64 * 1024
// How long the peer may take to close, in milliseconds.
const LINGER = 250

/** One connection of a client: bags are matched by their seq, plain messages by their order. */
export class ClientSession implements ByteReceiver {
  readonly #settings: ClientSettings
  readonly #channel: ByteChannel
  readonly #reader: FrameReader
  readonly #outbox: Outbox
  /** In the order of their deadlines. */
  readonly #waiting = new Map<number, Waiting>()
  /** Messages that wait for the peer to read. */
  readonly #unsent: { readonly seq: number | null; readonly bytes: Uint8Array }[] = []
  readonly #observations = new Map<number, AnswerQueue>()
  readonly #gone: Promise<void>
  #leave: () => void = () => undefined
  #seq = 0
  #timer: TimerHandle | null = null
  /** Why the connection ended, where that is known. */
  #fault: unknown
  #closed = false

  constructor(channel: ByteChannel, settings: ClientSettings) {
    this.#channel = channel
    this.#settings = settings
    this.#reader = settings.framing.reader(settings.frameLimit, true)
    this.#outbox = new Outbox(channel, settings.limits)
    this.#gone = new Promise(resolve => {
      this.#leave = resolve
    })
    channel.open(this)
  }

  /** True when no request can be sent any more. */
  get closed(): boolean {
    return this.#closed
  }

  /** Sends a request and waits for its answer. */
  request(request: Omit<BagRequest, 'seq'>, signal: AbortSignal | undefined): Promise<LinkAnswer> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const seq = this.#next()
      const abort = (): void => this.#settle(seq)?.reject(signal?.reason)
      const settled = (): void => signal?.removeEventListener('abort', abort)
      signal?.addEventListener('abort', abort, { once: true })
      this.#expect(seq, {
        due: this.#due(),
        resolve: answer => {
          settled()
          resolve(answer)
        },
        reject: error => {
          settled()
          reject(error)
        }
      })
      this.#write({ ...request, seq })
    })
  }

  /** Begins an observation, which `unobserve` ends; `seq` names it. */
  observe(request: Omit<BagRequest, 'seq' | 'observe'>): { readonly seq: number; readonly answers: AnswerQueue } {
    const seq = this.#next()
    const answers = new AnswerQueue(this.#settings.limits)
    this.#observations.set(seq, answers)
    this.#expect(seq, { due: this.#due(), resolve: answer => answers.push(answer), reject: error => answers.end(error) })
    this.#write({ ...request, observe: true, seq })
    return { seq, answers }
  }

  /** Tells the peer that nobody listens any more. */
  unobserve(seq: number): void {
    this.#settle(seq)
    const answers = this.#observations.get(seq)
    if (answers === undefined) return
    answers.end(this.#fault)
    this.#observations.delete(seq)
    if (!this.#closed) {
      this.#write({ method: 'GET', path: '/', query: '', headers: [], contentType: '', body: null, observe: false, seq })
    }
  }

  /** Ends the connection; what still waits is rejected. Resolves when it is gone. */
  leave(): Promise<void> {
    if (!this.#closed) {
      this.#fault ??= channelClosed()
      for (const seq of [...this.#observations.keys()]) this.unobserve(seq)
      this.#outbox.flush()
      this.#channel.end()
      const timer = this.#settings.clock.setTimeout(() => this.#channel.destroy(), LINGER)
      void this.#gone.then(() => this.#settings.clock.clearTimeout(timer))
      this.#fail()
    }
    return this.#gone
  }

  data(chunk: Uint8Array): void {
    if (this.#closed) return
    try {
      this.#reader.push(chunk)
      for (let frame = this.#reader.next(); frame !== null; frame = this.#reader.next()) this.#receive(frame)
    } catch (cause) {
      this.#fault = badAnswer('The peer sent what is no answer.', cause)
      this.#channel.destroy()
      this.#fail()
    }
  }

  /** No answer can come any more. */
  end(): void {
    this.#channel.destroy()
  }

  drain(): void {
    this.#outbox.onDrain()
    this.#send()
  }

  close(cause?: Error): void {
    this.#fault ??= connectionLost(cause)
    this.#outbox.onClose()
    this.#fail()
    this.#leave()
  }

  #next(): number {
    const { limits } = this.#settings
    if (this.#waiting.size >= limits.inFlight)
      throw new IopaError(503, 'overloaded', `${limits.inFlight} requests wait for an answer on this channel; wait for some of them.`)
    if (this.#closed) throw this.#fault
    return ++this.#seq
  }

  #due(): number {
    return this.#settings.clock.elapsed() + this.#settings.timeout
  }

  #expect(seq: number, waiting: Waiting): void {
    this.#waiting.set(seq, waiting)
    if (this.#timer === null) this.#arm(this.#settings.timeout)
  }

  /** Takes a request out of those that wait; a plain message keeps its place, for its answer may still come. */
  #settle(seq: number): Waiting | undefined {
    const waiting = this.#waiting.get(seq)
    if (this.#settings.bag) this.#waiting.delete(seq)
    else if (waiting !== undefined) this.#waiting.set(seq, NOTHING)
    return waiting
  }

  #receive(frame: Uint8Array): void {
    if (!this.#settings.bag) {
      const first = this.#waiting.keys().next()
      if (first.done) return
      const waiting = this.#waiting.get(first.value)
      this.#waiting.delete(first.value)
      if (this.#reader.overlong === true) waiting?.reject(tooLarge())
      else waiting?.resolve(receivedAnswer(200, { payload: frame }))
      return
    }
    if (this.#reader.overlong === true) {
      this.#refuse(lastSeq(frame), tooLarge())
      return
    }
    let received: ReturnType<typeof decodeBagAnswer>
    try {
      received = decodeBagAnswer(frame)
    } catch (error) {
      this.#refuse(seqOf(frame), badAnswer('The answer cannot be read.', error))
      return
    }
    const { answer, seq } = received
    if (typeof seq !== 'number') {
      // It concerns the connection as a whole, such as too many of them, and is why it will be closed.
      if (!answer.ok) this.#fault = refusalError(answer)
      return
    }
    const answers = this.#observations.get(seq)
    if (!answer.ok) this.#observations.delete(seq)
    const waiting = this.#settle(seq)
    if (waiting !== undefined) waiting.resolve(answer)
    else answers?.push(answer)
  }

  /** Fails the request, or the observation, whose answer cannot be read; the others go on. Without a seq it is that of none. */
  #refuse(seq: BagSeq | undefined, error: unknown): void {
    if (typeof seq !== 'number') return
    const answers = this.#observations.get(seq)
    this.#observations.delete(seq)
    this.#settle(seq)?.reject(error)
    answers?.end(error)
  }

  #write(request: BagRequest & { readonly seq: number }): void {
    this.#unsent.push({ seq: request.observe === false ? null : request.seq, bytes: this.#encode(request) })
    this.#send()
  }

  /** Sends in order, as fast as the peer reads. */
  #send(): void {
    while (this.#unsent.length > 0 && this.#outbox.writable) {
      const { seq, bytes } = this.#unsent.shift()!
      if (seq !== null && this.#isForgotten(seq)) continue
      this.#outbox.write(bytes)
      if (this.#outbox.pendingBytes > FLUSH_BYTES) this.#outbox.flush()
    }
  }

  /** True for a request that was given up before it left. */
  #isForgotten(seq: number): boolean {
    const waiting = this.#waiting.get(seq)
    if (waiting !== undefined && waiting !== NOTHING) return false
    this.#waiting.delete(seq)
    return true
  }

  #encode(request: BagRequest): Uint8Array {
    if (this.#settings.bag) return Buffer.from(`${encodeBagRequest(request)}\n`)
    const { framing } = this.#settings
    const body = request.body ?? new Uint8Array()
    const pieces = [framing.prefix(body.length), body, framing.suffix].filter(piece => piece !== null)
    return pieces.length === 1 ? body : Buffer.concat(pieces)
  }

  #arm(time: number): void {
    this.#timer = this.#settings.clock.setTimeout(() => this.#expire(), Math.max(1, time), { keep: true })
  }

  #expire(): void {
    this.#timer = null
    const now = this.#settings.clock.elapsed()
    for (const [seq, { due, reject }] of this.#waiting) {
      if (due > now) {
        if (due === Number.POSITIVE_INFINITY) continue
        this.#arm(due - now)
        return
      }
      this.#settle(seq)
      this.#observations.delete(seq)
      reject(answerTimeout(this.#settings.timeout))
    }
  }

  #fail(): void {
    this.#closed = true
    if (this.#timer !== null) this.#settings.clock.clearTimeout(this.#timer)
    this.#timer = null
    for (const { reject } of this.#waiting.values()) reject(this.#fault)
    for (const answers of this.#observations.values()) answers.end(this.#fault)
    this.#waiting.clear()
    this.#unsent.length = 0
    this.#observations.clear()
  }
}
