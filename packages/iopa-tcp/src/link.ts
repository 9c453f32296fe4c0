import {
  type BagRequest,
  type BagSeq,
  type ByteChannel,
  type ByteNetwork,
  badAnswer,
  type Clock,
  channelClosed,
  checkTarget,
  decodeBagAnswer,
  encodeBagRequest,
  IopaError,
  type Limits,
  type Link,
  type LinkAnswer,
  type LinkEnd,
  type LinkRequestOptions,
  linkLost,
  lossOf,
  type OpenOptions,
  Outbox,
  type OutgoingRequest,
  receivedAnswer,
  requestBytes,
  type Sink
} from '@iopa/transport'
import { lastSeq, seqOf, tooLarge } from './answer-seq.ts'
import type { FrameReader, Framing } from './framing.ts'
import { refusalError } from './refusal-error.ts'

/** Connects to the address of a `tcp:` or `tcps:` URL; the frames are bags where `bag` is true. */
export const openLink = async (url: URL, framing: Framing, bag: boolean, network: ByteNetwork, options: OpenOptions): Promise<Link> => {
  const { signal, tls, clock, limits } = options
  checkTarget(url, options)
  const secure = url.protocol === 'tcps:'
  if (url.port === '') throw new IopaError(400, 'no-port', `Write the port: ${url.protocol}//${url.hostname || 'host'}:7000.`)
  if (tls && !secure) throw new IopaError(400, 'tls-scheme', 'For TLS, write tcps: in the URL.')
  const address = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port), tls: secure ? (tls ?? {}) : undefined }
  return new TcpLink(await network.connect(address, signal), { framing, bag, clock, limits })
}

/** What a link is made of. */
export interface TcpLinkInit {
  readonly framing: Framing
  /** True when frames are bags. */
  readonly bag: boolean
  readonly clock: Clock
  readonly limits: Limits
}

/** A request or a subscription that waits for an answer. */
interface Waiting {
  /** Takes the answers of a subscription; null for a request. */
  readonly sink: Sink | null
  sent: boolean
  resolve(answer: LinkAnswer | undefined): void
  reject(error: unknown): void
  /** Stops listening to the signal. */
  settled(): void
}

// Beyond this many bytes the requests of one turn leave before all of them are made, so that a slow peer is noticed.
const FLUSH_BYTES = 64 * 1024
// How long the peer may take to close, in milliseconds.
const LINGER = 250
const NOTHING = new Uint8Array()

/** One connection of a client: bags are matched by their seq, plain messages by their order. */
export class TcpLink implements Link {
  readonly concurrency: number = Number.POSITIVE_INFINITY
  readonly closed: Promise<LinkEnd>
  readonly #init: TcpLinkInit
  readonly #channel: ByteChannel
  readonly #reader: FrameReader
  readonly #outbox: Outbox
  /** By seq, in the order in which they were sent. An aborted plain message keeps its place: its answer may still arrive. */
  readonly #waiting = new Map<number, Waiting | null>()
  /** Messages that wait for the peer to read. */
  readonly #unsent: { readonly seq: number; readonly waiting: Waiting | null; readonly bytes: Uint8Array }[] = []
  #ended: (end: LinkEnd) => void = () => undefined
  #seq = 0
  /** Why the connection ends, where that is known. */
  #fault: IopaError | undefined
  #gone = false

  constructor(channel: ByteChannel, init: TcpLinkInit) {
    const { bag, framing, limits } = init
    this.#channel = channel
    this.#init = init
    this.#reader = framing.reader(bag ? Math.ceil((limits.body * 4) / 3) + 64 * 1024 : limits.body, true)
    this.#outbox = new Outbox(channel, limits)
    this.closed = new Promise(resolve => {
      this.#ended = resolve
    })
    channel.open({
      data: chunk => this.#data(chunk),
      // No answer can come any more.
      end: () => channel.destroy(),
      drain: () => {
        this.#outbox.onDrain()
        this.#send()
      },
      close: cause => this.#lost(cause)
    })
  }

  async request(message: OutgoingRequest, { signal }: LinkRequestOptions): Promise<LinkAnswer> {
    const body = await requestBytes(message, this.#init.limits.body, signal)
    return (await this.#ask(message, body, null, signal)) as LinkAnswer
  }

  async subscribe(message: OutgoingRequest, sink: Sink, { signal }: LinkRequestOptions): Promise<void> {
    if (!this.#init.bag) throw new IopaError(501, 'not-observable', 'Only bags can observe; connect with the framing of bags.')
    await this.#ask(message, null, sink, signal)
  }

  async close(): Promise<void> {
    if (!this.#gone) {
      this.#fault ??= channelClosed()
      this.#outbox.flush()
      this.#channel.end()
      const timer = this.#init.clock.setTimeout(() => this.#channel.destroy(), LINGER)
      void this.closed.then(() => this.#init.clock.clearTimeout(timer))
      this.#fail()
    }
    await this.closed
  }

  /** Resolves with the answer to a request, or when its signal aborts; rejects when neither can come. */
  #ask(message: OutgoingRequest, body: Uint8Array | null, sink: Sink | null, signal: AbortSignal): Promise<LinkAnswer | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#gone) throw this.#loss(false)
      const seq = ++this.#seq
      const abort = (): void => this.#abandon(seq)
      const waiting: Waiting = {
        sink,
        sent: false,
        resolve,
        reject,
        settled: () => signal.removeEventListener('abort', abort)
      }
      signal.addEventListener('abort', abort, { once: true })
      this.#waiting.set(seq, waiting)
      const { method, path, query, headers, type } = message
      const observe = sink === null ? undefined : true
      this.#write(seq, waiting, { method, path, query, headers: [...headers.pairs()], contentType: type, body, observe, seq })
    })
  }

  /** The caller has aborted a request: tells the peer if that ends an observation. */
  #abandon(seq: number): void {
    const waiting = this.#settle(seq)
    waiting?.resolve(undefined)
    if (waiting?.sink && waiting.sent)
      this.#write(seq, null, { method: 'GET', path: '/', query: '', headers: [], contentType: '', body: null, observe: false, seq })
  }

  /** Takes a request out of those that wait. */
  #settle(seq: number): Waiting | null | undefined {
    const waiting = this.#waiting.get(seq)
    if (this.#init.bag || waiting?.sent === false) this.#waiting.delete(seq)
    else if (waiting !== undefined) this.#waiting.set(seq, null)
    waiting?.settled()
    return waiting
  }

  #data(chunk: Uint8Array): void {
    if (this.#gone) return
    try {
      this.#reader.push(chunk)
      for (let frame = this.#reader.next(); frame !== null; frame = this.#reader.next()) this.#receive(frame)
    } catch (cause) {
      this.#fault = badAnswer('The peer sent what is no answer.', cause)
      this.#channel.destroy()
      this.#fail()
    }
  }

  #receive(frame: Uint8Array): void {
    if (!this.#init.bag) {
      this.#receivePlain(frame)
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
      if (!answer.ok) this.#fault = lossOf(refusalError(answer), { sent: true })
      return
    }
    const waiting = this.#waiting.get(seq)
    if (waiting === undefined || waiting === null) return
    if (waiting.sink === null) this.#settle(seq)?.resolve(answer)
    else {
      // After an answer that is not 2xx the peer observes no more.
      if (!answer.ok) this.#settle(seq)?.resolve(undefined)
      void waiting.sink.next(answer)
    }
  }

  #receivePlain(frame: Uint8Array): void {
    const first = this.#waiting.entries().next()
    if (first.done) return
    const [seq, waiting] = first.value
    this.#waiting.delete(seq)
    waiting?.settled()
    if (this.#reader.overlong === true) waiting?.reject(tooLarge())
    else waiting?.resolve(receivedAnswer(200, { payload: frame }))
  }

  /** Fails the request, or the observation, whose answer cannot be read; the others go on. Without a seq it is that of none. */
  #refuse(seq: BagSeq | undefined, error: unknown): void {
    if (typeof seq === 'number') this.#settle(seq)?.reject(error)
  }

  #write(seq: number, waiting: Waiting | null, request: BagRequest): void {
    this.#unsent.push({ seq, waiting, bytes: this.#encode(request) })
    this.#send()
  }

  /** Sends in order, as fast as the peer reads. */
  #send(): void {
    while (this.#unsent.length > 0 && this.#outbox.writable) {
      const { seq, waiting, bytes } = this.#unsent.shift()!
      // A request that was aborted before sending is not sent.
      if (waiting !== null && this.#waiting.get(seq) !== waiting) continue
      if (waiting !== null) waiting.sent = true
      this.#outbox.write(bytes)
      if (this.#outbox.pendingBytes > FLUSH_BYTES) this.#outbox.flush()
    }
  }

  #encode(request: BagRequest): Uint8Array {
    if (this.#init.bag) return Buffer.from(`${encodeBagRequest(request)}\n`)
    const { framing } = this.#init
    const body = request.body ?? NOTHING
    const pieces = [framing.prefix(body.length), body, framing.suffix].filter(piece => piece !== null)
    return pieces.length === 1 ? body : Buffer.concat(pieces)
  }

  #lost(cause: Error | undefined): void {
    this.#outbox.onClose()
    this.#fail(cause)
    this.#ended({
      reason: this.#fault === undefined ? 'lost' : this.#fault.code === 'closed' ? 'finish' : 'refused',
      error: this.#fault ?? cause
    })
  }

  #fail(cause?: Error): void {
    this.#gone = true
    for (const waiting of this.#waiting.values()) {
      waiting?.settled()
      waiting?.reject(this.#loss(waiting.sent, cause))
    }
    this.#waiting.clear()
    this.#unsent.length = 0
  }

  /** The error of what was under way; the same for all that the peer gave a reason for. */
  #loss(sent: boolean, cause?: Error): IopaError {
    return this.#fault === undefined ? linkLost({ sent }, cause) : this.#fault
  }
}
