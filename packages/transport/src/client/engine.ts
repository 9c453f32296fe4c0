import type { Bag, KeysDeclaration } from '@iopa/constants'
import type { LinkAnswer } from '@iopa/context'
import type { Clock } from '../contract/clock.ts'
import type { Limits } from '../contract/limits.ts'
import type { Link, LinkLoss } from '../contract/link.ts'
import { awaitedAnswer } from './answer-body.ts'
import { Call, DEFAULT_TIMEOUT } from './call.ts'
import type { Requester } from './client.ts'
import { channelClosed, lossIn, overloaded } from './failures.ts'
import { LinkPool, type PooledLink } from './link-pool.ts'
import { type ObservationOwner, RemoteObservation } from './observation.ts'
import { type OutgoingRequest, outgoing } from './outgoing.ts'
import { giveUpBody } from './request-body.ts'

/** What a client is made of. */
export interface ClientEngineInit {
  /** Opens a link; it ends with `signal`. Rejects with an IopaError. */
  open(signal: AbortSignal): Promise<Link>
  /** The link that was opened first. */
  readonly first: Link
  readonly clock: Clock
  readonly limits: Limits
  /** Milliseconds; undefined leaves it to the link, or to the default. */
  readonly timeout: number | undefined
  readonly maxLinks: number
  /** Methods other than GET that observe. */
  readonly observable: readonly string[] | undefined
  /** The namespaces of the protocol. */
  readonly keys: readonly KeysDeclaration[]
  /** Called when the client has closed. */
  readonly closed?: (() => unknown) | undefined
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])
/** How often an idempotent request is sent that no peer can have acted on. */
const ATTEMPTS = 3

/** The policy of every client, over links that have none: pooling, deadlines, abort, bounds, retries, and observing again after a loss. */
export class ClientEngine implements Requester {
  readonly prefix?: string
  readonly observable?: readonly string[]
  readonly keys: readonly KeysDeclaration[]
  readonly #init: ClientEngineInit
  readonly #requests: LinkPool
  /** Links that a subscription takes for itself; the pool of requests where they need none. */
  readonly #subscriptions: LinkPool
  /** Requests and subscriptions under way. */
  readonly #calls = new Set<Call>()
  readonly #observations = new Set<RemoteObservation>()
  readonly #owner: ObservationOwner
  #inFlight = 0
  #closing: Promise<void> | null = null

  constructor(init: ClientEngineInit) {
    const { open, first, clock, limits, maxLinks } = init
    this.#init = init
    this.keys = init.keys
    if (first.prefix !== undefined) this.prefix = first.prefix
    if (init.observable !== undefined) this.observable = init.observable
    const { idleTimeout } = limits
    this.#requests = new LinkPool({ open, clock, maxLinks, idleTimeout })
    this.#requests.add(first)
    this.#subscriptions =
      first.concurrency === 1 ? new LinkPool({ open, clock, maxLinks: limits.observersPerConnection, idleTimeout: 0 }) : this.#requests
    this.#owner = {
      clock,
      limits,
      timeout: init.timeout,
      calls: this.#calls,
      pool: this.#subscriptions,
      begun: observation => this.#begun(observation),
      answered: observation => this.#answered(observation),
      ended: observation => void this.#observations.delete(observation)
    }
  }

  /** Resolves with the answer, whatever its status; rejects if no answer can arrive. */
  async send(request: Bag): Promise<LinkAnswer> {
    const out = outgoing(request)
    const { limits, clock, timeout } = this.#init
    let call: Call | undefined
    let counted = false
    try {
      if (this.#closing !== null) throw channelClosed()
      call = new Call(out.signal, clock, this.#calls)
      if (this.#inFlight >= limits.inFlight) throw overloaded(limits.inFlight)
      this.#inFlight++
      counted = true
      return await this.#attempt(out, call, timeout)
    } catch (error) {
      call?.end()
      giveUpBody(out.body)
      throw error
    } finally {
      if (counted) this.#inFlight--
    }
  }

  /** The first answer and each one after a change. Each iteration is a separate observation. */
  observe(request: Bag): AsyncIterable<LinkAnswer> {
    return { [Symbol.asyncIterator]: () => new RemoteObservation(outgoing(request), this.#owner) }
  }

  /** Rejects what waits, and ends the links. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #attempt(out: OutgoingRequest, call: Call, timeout: number | undefined): Promise<LinkAnswer> {
    for (let attempt = 1; ; attempt++) {
      const entry = this.#requests.take() ?? (await this.#connected(call, timeout))
      const limit = timeout ?? entry.link.requestTimeout ?? DEFAULT_TIMEOUT
      let streams = false
      try {
        if (attempt === 1) call.await(limit, timeout ?? DEFAULT_TIMEOUT, entry.link)
        const answer = await call.run(() => entry.link.request(out, call))
        call.rest()
        if (this.#observations.size > 0 && answer.status < 500) this.#answered(null)
        streams = answer.isStream
        if (streams) return await awaitedAnswer(answer, call, limit, this.#init.limits.body, () => this.#release(entry, call))
        call.end()
        return answer
      } catch (error) {
        if (call.aborted || attempt === ATTEMPTS || !isRepeatable(out, lossIn(error))) throw error
      } finally {
        if (!streams) this.#requests.release(entry)
      }
    }
  }

  /** A link that has to be waited for. */
  #connected(call: Call, timeout: number | undefined): Promise<PooledLink> {
    call.await(timeout ?? DEFAULT_TIMEOUT)
    return this.#requests.acquire(call.signal)
  }

  #release(entry: PooledLink, call: Call): void {
    call.end()
    this.#requests.release(entry)
  }

  #begun(observation: RemoteObservation): void {
    if (this.#closing !== null) throw channelClosed()
    const most = this.#init.limits.observersPerConnection
    if (this.#observations.size >= most) throw overloaded(most, 'observations are open')
    this.#observations.add(observation)
  }

  /** The peer serves: observations that wait to try again do so now. */
  #answered(by: RemoteObservation | null): void {
    for (const observation of this.#observations) if (observation !== by) observation.prompt()
  }

  async #close(): Promise<void> {
    const reason = channelClosed()
    for (const observation of [...this.#observations]) observation.stop()
    for (const call of [...this.#calls]) call.abort(reason)
    await Promise.all([...new Set([this.#requests, this.#subscriptions])].map(pool => pool.close()))
    await this.#init.closed?.()
  }
}

const isRepeatable = ({ method, body }: OutgoingRequest, loss: LinkLoss | undefined): boolean =>
  (loss?.repeat === true || (loss?.sent === false && IDEMPOTENT.has(method))) && (body === null || body instanceof Uint8Array)
