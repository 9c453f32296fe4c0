import type { LinkAnswer } from '@iopa/context'
import { receivedAnswer } from '@iopa/context/host'
import { type VirtualClock, virtualClock } from '@iopa/testing'
import {
  type Client,
  type ConnectOptions,
  connect,
  type Link,
  type LinkEnd,
  linkLost,
  type OutgoingRequest,
  type Sink,
  type SubscribeOptions,
  type Transport
} from '../src/index.ts'

/** A request that a fake link has got, and what settles it. */
export interface Asked {
  readonly link: FakeLink
  readonly message: OutgoingRequest
  readonly signal: AbortSignal
  readonly resume: unknown
  readonly sink: Sink | null
  answer(text?: string, status?: number): void
  reject(error: unknown): void
  end(): void
}

/** A link that does what the test says. */
export class FakeLink implements Link {
  readonly concurrency: number
  readonly closed: Promise<LinkEnd>
  readonly #peer: FakePeer
  readonly #waiting = new Set<Asked>()
  #end: (end: LinkEnd) => void = () => undefined
  isClosed = false
  idleTimeout: number = Number.POSITIVE_INFINITY

  constructor(peer: FakePeer) {
    this.#peer = peer
    this.concurrency = peer.concurrency
    this.closed = new Promise(resolve => {
      this.#end = resolve
    })
  }

  request(message: OutgoingRequest, { signal }: { readonly signal: AbortSignal }): Promise<LinkAnswer> {
    return new Promise((resolve, reject) => {
      this.#ask({
        link: this,
        message,
        signal,
        resume: undefined,
        sink: null,
        answer: (text = message.path, status = 200) => resolve(receivedAnswer(status, { type: 'text/plain', payload: text })),
        reject,
        end: () => undefined
      })
    })
  }

  subscribe(message: OutgoingRequest, sink: Sink, { signal, resume }: SubscribeOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => resolve())
      this.#ask({
        link: this,
        message,
        signal,
        resume,
        sink,
        answer: (text = message.path, status = 200) => void sink.next(receivedAnswer(status, { type: 'text/plain', payload: text })),
        reject,
        end: resolve
      })
    })
  }

  /** The connection breaks: what waits is lost. */
  lose(sent = true, parts: object = {}): void {
    this.isClosed = true
    for (const { reject } of this.#waiting) reject(linkLost({ sent, ...parts }))
    this.#waiting.clear()
    this.#end({ reason: 'lost' })
  }

  async close(): Promise<void> {
    this.isClosed = true
    this.#end({ reason: 'finish' })
  }

  #ask(asked: Asked): void {
    this.#waiting.add(asked)
    this.#peer.asked.push(asked)
    this.#peer.handle?.(asked)
  }
}

/** What fake links lead to. */
export class FakePeer {
  concurrency: number
  readonly links: FakeLink[] = []
  readonly asked: Asked[] = []
  /** Where it is set, a link opens with what it gives, and fails with what it throws. */
  opening: ((signal: AbortSignal) => Promise<void>) | null = null
  opened = 0
  /** Called with each request. */
  handle: ((asked: Asked) => void) | null = null

  constructor(concurrency: number = Number.POSITIVE_INFINITY) {
    this.concurrency = concurrency
  }

  readonly transport: Transport = {
    name: 'fake',
    schemes: ['fake'],
    listen: () => Promise.reject(new Error('no')),
    open: async (_url, { signal }) => {
      this.opened++
      await this.opening?.(signal)
      const link = new FakeLink(this)
      this.links.push(link)
      return link
    }
  }

  get last(): Asked {
    return this.asked.at(-1) as Asked
  }
}

/** A client of a fake peer, on a clock of its own. */
export const connected = async (peer: FakePeer, options: ConnectOptions = {}): Promise<{ readonly clock: VirtualClock; readonly client: Client }> => {
  const clock = virtualClock()
  return { clock, client: await connect(peer.transport, 'fake://host:7', { clock, ...options }) }
}

/** A network that cannot be reached. */
export const unreachable = (): Promise<never> => Promise.reject(new Error('ECONNREFUSED'))

/** What a promise comes to: a value, an error, or that it waits. */
export const state = async (work: Promise<unknown>): Promise<unknown> => {
  for (let turn = 0; turn < 20; turn++) await null
  return Promise.race([
    work.then(
      value => value,
      (error: unknown) => error
    ),
    Promise.resolve('waits')
  ])
}
