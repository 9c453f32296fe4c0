import { randomBytes, randomInt } from 'node:crypto'
import {
  type Clock,
  channelClosed,
  type DatagramChannel,
  IopaError,
  type Limits,
  type Link,
  type LinkAnswer,
  type LinkEnd,
  type LinkRequestOptions,
  listenerUrl,
  type OutgoingRequest,
  receivedAnswer,
  requestBytes,
  type Sink,
  type SubscribeOptions
} from '@iopa/transport'
import { decode, encode, encodeEmpty } from '../codec/datagram-codec.ts'
import type { Extensions } from '../codec/extensions.ts'
import { type ReceivedMessage, TYPE, tokenKey } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import { withoutAnswer } from '../exchanges/no-response.ts'
import { badOptionOf } from '../exchanges/requester.ts'
import { tokenLengthOf } from './raw-options.ts'
import { clientAnswer, clientRequest } from './request.ts'

/** Members that one request collects answers of, and those that are asked for further blocks at once. */
const MOST_MEMBERS = 1000
const MOST_FETCHES = 8
/** Bytes of a body that a request to a group may have: it goes in one message. */
const MOST_BYTES = 1024

/** What a link to a group is made of. */
export interface GroupLinkInit {
  readonly channel: DatagramChannel
  /** Address and port of the group. */
  readonly address: string
  readonly port: number
  readonly clock: Clock
  readonly limits: Limits
  readonly extensions: Extensions
  /** Milliseconds for which answers are collected, unless a request says. */
  readonly collectFor: number
  /** Opens a link to one member, which ends with the signal while it opens. */
  openMember(url: URL, signal: AbortSignal): Promise<Link>
}

/**
 * A multicast group, any of whose members may answer (RFC 7252 section 8): non-confirmable requests, whose answers are collected for a time. Only here an answer
 * is accepted from another address than the one that was asked; its token proves that its sender has received the request.
 */
export class GroupLink implements Link {
  readonly concurrency: number = Number.POSITIVE_INFINITY
  readonly closed: Promise<LinkEnd>
  readonly #init: GroupLinkInit
  readonly #collections = new Map<string, Collection>()
  #lastId = randomInt(65_536)
  #ended: (end: LinkEnd) => void = () => undefined

  constructor(init: GroupLinkInit) {
    this.#init = init
    this.closed = new Promise(resolve => {
      this.#ended = resolve
    })
    init.channel.open({ message: (bytes, address, port) => this.#receive(bytes, address, port), error: () => undefined })
  }

  /** Sends what no member answers (RFC 7967 section 4); one answer would not be that of the group. */
  async request(message: OutgoingRequest, options: LinkRequestOptions): Promise<LinkAnswer> {
    const given: readonly (readonly [number, unknown?])[] = message.bag['coap.Options'] ?? []
    const silent = given.find(([number]) => number === OPTION.NO_RESPONSE)?.[1]
    if (typeof silent !== 'number' || !withoutAnswer(silent)) throw onlyCollected()
    await this.#send(message, options.signal)
    return receivedAnswer(204)
  }

  async subscribe(message: OutgoingRequest, sink: Sink, { signal }: SubscribeOptions): Promise<void> {
    const { clock, collectFor } = this.#init
    const time = message.bag['coap.CollectFor']
    if (time === undefined) throw onlyCollected()
    if (!Number.isFinite(time) || time < 0)
      throw new IopaError(400, 'bad-request', `'coap.CollectFor' is a number of milliseconds, not ${String(time)}.`)
    const ended = new AbortController()
    const collection: Collection = { message, sink, members: new Set(), queue: [], fetches: 0, signal: AbortSignal.any([signal, ended.signal]) }
    let key = ''
    let timer: unknown
    try {
      key = await this.#send(message, signal, collection)
      sink.accepted()
      await new Promise<void>(resolve => {
        timer = clock.setTimeout(resolve, time || collectFor, { keep: true })
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    } finally {
      clock.clearTimeout(timer)
      // Any machine may have said that it has more to give: nothing is asked after the time.
      ended.abort()
      this.#collections.delete(key)
    }
  }

  async close(): Promise<void> {
    await this.#init.channel.close()
    this.#ended({ reason: 'finish', error: channelClosed() })
  }

  async #send(message: OutgoingRequest, signal: AbortSignal, collection?: Collection): Promise<string> {
    const { channel, address, port, extensions } = this.#init
    const body = await requestBytes(message, MOST_BYTES, signal)
    const { code, options, payload } = clientRequest({ ...message, body }, '', extensions.codes)
    if (payload.length > MOST_BYTES)
      throw new IopaError(413, 'body-too-large', `A request to a group goes in one message: ${MOST_BYTES} bytes at most.`)
    const token = randomBytes(tokenLengthOf(message.bag['coap.TokenLength'], false))
    const key = tokenKey(token)
    if (collection !== undefined) this.#collections.set(key, collection)
    this.#lastId = (this.#lastId + 1) & 0xffff
    channel.send(encode({ type: TYPE.NON, code, id: this.#lastId, token, options, payload }), port, address)
    return key
  }

  /** Takes an answer; all else is ignored in silence, for any machine may send it. */
  #receive(bytes: Uint8Array, address: string, port: number): void {
    const message = decode(bytes)
    if ('malformed' in message || message.type > TYPE.NON || message.code < 64 || message.code >= 192) return
    const collection = this.#collections.get(tokenKey(message.token))
    if (collection === undefined) return
    const { channel, extensions } = this.#init
    if (message.type === TYPE.CON) channel.send(encodeEmpty(TYPE.ACK, message.id), port, address)
    const { members, sink } = collection
    const member = `${address} ${port}`
    // Errors say no more than silence: members that have nothing to say are not to answer (section 8.2).
    if (message.code >> 5 !== 2 || members.has(member) || members.size >= MOST_MEMBERS) return
    if (badOptionOf(message, extensions.critical) !== undefined) return
    members.add(member)
    const peer = listenerUrl('coap', address, port)
    if (!hasMore(message)) void sink.next(from(peer, clientAnswer(message, message.payload)))
    else {
      collection.queue.push(peer)
      this.#fetchNext(collection)
    }
  }

  /** Asks members for what did not fit into their answer, from that member alone (RFC 7959 section 2.8). */
  #fetchNext(collection: Collection): void {
    if (collection.fetches >= MOST_FETCHES || collection.signal.aborted) return
    const peer = collection.queue.shift()
    if (peer === undefined) return
    collection.fetches++
    void this.#fetch(peer, collection).then(() => {
      collection.fetches--
      this.#fetchNext(collection)
    })
  }

  async #fetch(peer: URL, { message, sink, signal }: Collection): Promise<void> {
    try {
      const link = await this.#init.openMember(peer, signal)
      try {
        const answer = await link.request(message, { signal })
        if (answer.ok) void sink.next(from(peer, answer))
      } finally {
        await link.close()
      }
    } catch {
      // A member that does not give the rest has not answered.
    }
  }
}

/** The answers to one request that are awaited. */
interface Collection {
  readonly message: OutgoingRequest
  readonly sink: Sink
  readonly signal: AbortSignal
  /** Those that have answered, by address and port. */
  readonly members: Set<string>
  /** Members whose answer has further blocks, and how many are being asked for them. */
  readonly queue: URL[]
  fetches: number
}

const from = (peer: URL, answer: LinkAnswer): LinkAnswer => Object.assign(answer, { 'coap.Peer': peer })

const hasMore = ({ options }: ReceivedMessage): boolean => ((options.uint(OPTION.BLOCK2) ?? 0) & 8) !== 0

const onlyCollected = (): IopaError =>
  new IopaError(501, 'group-request', 'This is a multicast group, and each of its members may answer: use collect() or discover() of @iopa/coap.')
