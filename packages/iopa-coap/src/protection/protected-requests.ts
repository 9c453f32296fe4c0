import {
  type ActiveProtection,
  type Clock,
  type Counters,
  type Host,
  type OpenedRequest,
  type RefusedRequest,
  type TimerHandle,
  usersOf
} from '@iopa/transport'
import { CODE, statusOfCode } from '../codec/codes.ts'
import { OPTION } from '../codec/option-registry.ts'
import { Options } from '../codec/options.ts'
import type { Exchange, Remote } from '../exchanges/exchange.ts'
import { isProxied } from '../resources/proxied.ts'
import type { AssociatedRemote, Associations } from './associations.ts'
import type { OuterBlocks } from './outer-blocks.ts'
import { optionsOf, requestWithin } from './plain-messages.ts'
import { type ExchangePorts, ProtectedExchange } from './protected-exchange.ts'
import { Sequence, settle } from './sequence.ts'

const NOTHING = new Uint8Array(0)
const BUSY_SECONDS = 30
/** How often parts of messages that nothing asks for are looked for, in milliseconds. */
const SWEEP = 10_000

/** What answers requests, protected or not. */
export interface Requests<R extends Remote> {
  /** Answers a request, now or later. Never throws. */
  handle(exchange: Exchange<R>): void
  /** Forgets what is kept for a connection that is closed. */
  forget(remote: R): void
  close(): void
}

/** What protected requests need of the server. */
export interface ProtectedRequestsInit<R extends Remote> {
  readonly host: Host
  readonly clock: Clock
  readonly counters: Pick<Counters, 'refusal'>
  /** The number of the option that protected messages have. */
  readonly option: number
  readonly protection: ActiveProtection
  readonly associations: Associations
  readonly blocks: OuterBlocks
  /** Answers what is not protected, and what was. */
  readonly inner: Requests<R | AssociatedRemote> & {
    /** Gives a remote its endpoint. */
    introduce(remote: R): unknown
  }
}

/** Opens protected requests for the resource server behind, in the order in which they came from a peer, and has the responses protected. */
export class ProtectedRequests<R extends Remote> implements Requests<R> {
  readonly #init: ProtectedRequestsInit<R>
  readonly #ports: ExchangePorts
  /** Peers of whom a request is being opened, which those behind it wait for. How many wait is bounded as requests in flight are. */
  readonly #opening = new Map<R, Sequence>()
  readonly #protecting = new Set<Promise<void>>()
  #timer: TimerHandle | undefined

  constructor(init: ProtectedRequestsInit<R>) {
    const { host, clock, blocks, protection } = init
    this.#init = init
    this.#ports = {
      clock,
      logger: host.logger,
      timeout: host.limits.requestTimeout,
      respond: (exchange, response) => {
        blocks.respond(exchange, response)
        this.#arm()
      },
      protecting: done => {
        this.#protecting.add(done)
        void done.then(() => this.#protecting.delete(done))
      }
    }
    // What ends with the user says so to its observers first, under protection.
    const revoked = usersOf(host).revocations(id => setImmediate(() => protection.revoke(user => user.id === id)))
    host.scope.defer(() => revoked[Symbol.dispose]())
  }

  handle(exchange: Exchange<R>): void {
    const { remote } = exchange
    const before = this.#opening.get(remote)
    if (before !== undefined) {
      before.run(() => this.#take(exchange))
      return
    }
    const first = this.#take(exchange)
    if (first === undefined) return
    const sequence = new Sequence()
    this.#opening.set(remote, sequence)
    sequence.run(() => first)
    const release = (): void => {
      if (sequence.done === undefined) this.#opening.delete(remote)
      else void sequence.done.then(release)
    }
    release()
  }

  /** Resolves when all messages that are to be sent are protected; undefined where they are. */
  get settled(): Promise<void> | undefined {
    return this.#protecting.size === 0 ? undefined : Promise.all(this.#protecting).then(() => undefined)
  }

  forget(remote: R): void {
    this.#init.blocks.forget({ remote })
    this.#init.inner.forget(remote)
  }

  close(): void {
    const { clock, blocks, associations, inner } = this.#init
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer)
    this.#timer = undefined
    blocks.expire(Number.POSITIVE_INFINITY)
    associations.close()
    inner.close()
  }

  #take(exchange: Exchange<R>): void | Promise<void> {
    const { option, inner, blocks, clock, host, protection, counters } = this.#init
    const { message, remote } = exchange
    // What another server is to open is handed on as it is (RFC 8613 section 10).
    if (!message.options.has(option) || isProxied(message)) {
      inner.handle(exchange)
      return undefined
    }
    const { address, port } = remote
    if (exchange.toMulticast) {
      // Keys of two cannot protect what many are to open.
      counters.refusal(501, 'refused', { remoteAddress: address, remotePort: port })
      exchange.suppress()
      return undefined
    }
    inner.introduce(remote)
    const request = blocks.request(exchange)
    this.#arm()
    if (request === undefined) return undefined
    return settle(
      () => protection.open(request, { address, port, verified: remote.verified }),
      {
        clock,
        timeout: host.limits.requestTimeout,
        failed: error => {
          host.logger.error('iopa: a protected CoAP request could not be opened', error)
          exchange.respond(CODE.INTERNAL_SERVER_ERROR, new Options(), NOTHING)
        },
        late: opened => {
          if (opened !== undefined && 'end' in opened) opened.end()
        }
      },
      opened => this.#opened(exchange, opened)
    )
  }

  #opened(exchange: Exchange<R>, opened: OpenedRequest | RefusedRequest | undefined): void {
    const { inner, counters, associations } = this.#init
    const { remote } = exchange
    if (opened === undefined) inner.handle(exchange)
    else if ('refusal' in opened) {
      const { refusal, code } = opened
      counters.refusal(statusOfCode(refusal.code, false), code, { remoteAddress: remote.address, remotePort: remote.port })
      exchange.respond(refusal.code, optionsOf(refusal), refusal.payload)
    } else {
      const associated = associations.find(remote, opened)
      const message = requestWithin(exchange.message, opened.message)
      if (associated === undefined || message === undefined) {
        opened.end()
        if (message === undefined) exchange.respond(CODE.BAD_REQUEST, new Options(), NOTHING)
        else exchange.respond(CODE.SERVICE_UNAVAILABLE, new Options().add(OPTION.MAX_AGE, BUSY_SECONDS), NOTHING)
      } else inner.handle(new ProtectedExchange({ ports: this.#ports, outer: exchange, opened, remote: associated, message }))
    }
  }

  #arm(): void {
    const { clock, blocks } = this.#init
    if (this.#timer !== undefined || !blocks.busy) return
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined
      blocks.expire(clock.elapsed())
      this.#arm()
    }, SWEEP)
  }
}
