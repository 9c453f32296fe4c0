// One app on every protocol whose routes answer with each kind of value, and one way to ask it on each protocol.
import { App, type Bag, type Client, type Logger, reply } from '@iopa/appbuilder'
import { cbor } from '@iopa/cbor'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { toFetchHandler } from '@iopa/http/fetch'
import { mqtt } from '@iopa/mqtt'
import { type Routes, router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { HeaderMap, type Listener, parseUrl, type ReceivedAnswer, receivedAnswer } from '@iopa/transport'
import { udp } from '@iopa/udp'
import { KINDS, type Kind } from './value-kinds.ts'

export type Protocol = 'http' | 'coap' | 'mqtt' | 'tcp' | 'udp' | 'invoke' | 'fetch'
export const PROTOCOLS: readonly Protocol[] = ['http', 'coap', 'mqtt', 'tcp', 'udp', 'invoke', 'fetch']
/** How a handler hands a value over. */
export type Form = 'returned' | 'reply' | 'body'
export const FORMS: readonly Form[] = ['returned', 'reply', 'body']

/** What came back. */
export interface Got {
  readonly status: number
  readonly bytes: Uint8Array
  readonly type: string
}

const NO_BYTES = new Uint8Array(0)
const gotOf = async (answer: ReceivedAnswer): Promise<Got> => ({
  status: answer.status,
  type: answer.type,
  bytes: Uint8Array.from(await answer.bytes())
})

/** A client of one protocol. */
export interface Peer {
  send(method: string, path: string, headers: Record<string, string>): Promise<Got>
  /** The first answer to an observation; an error gives its status. */
  observe(path: string): Promise<Got>
  /** Sends a value, and gives what the server received; rejects when the client refuses to send it. */
  put(path: string, value: unknown): Promise<Got>
}

/** The app under test, and what it has logged. */
export class ValueTown {
  /** Log lines. */
  readonly lines: string[] = []
  // There are thousands of lines; each cell asks for those of its own path.
  readonly #linesOf = new Map<string, string[]>()
  readonly app: App & Routes
  readonly #peers = new Map<Protocol, Peer>()
  readonly #asking = new Map<Protocol, (request: Bag) => Promise<ReceivedAnswer>>()
  readonly #clients: App
  /** What was received by `/received/:id`. */
  readonly received: Map<string, Got> = new Map()

  private constructor() {
    const log = (...data: unknown[]): void => {
      const line = data.map(item => (item instanceof Error ? `${item.name}: ${item.message} ${causeOf(item)}` : String(item))).join(' ')
      this.lines.push(line)
      for (const path of new Set(line.match(/\/values\/[\w/]+(?= )/g))) {
        const lines = this.#linesOf.get(path)
        if (lines === undefined) this.#linesOf.set(path, [line])
        else lines.push(line)
      }
    }
    const logger: Logger = { error: log, warn: () => undefined, info: () => undefined, debug: () => undefined }
    this.#clients = new App({ logger: false, codecs: [cbor()] }).use(http()).use(coap()).use(mqtt()).use(tcp()).use(udp())
    const app = new App({ logger, codecs: [cbor()], limits: { failureLogs: Number.POSITIVE_INFINITY } }).use(router())
    const answerWith = async (kind: Kind, form: string, context: { response: { body: unknown; status: number } }): Promise<unknown> => {
      // Within an object, so that waiting for a promise is left to the app.
      const made = { value: kind.prepare === undefined ? kind.make() : await kind.prepare() }
      if (form === 'reply') return reply(200, made.value)
      if (form === 'body') {
        context.response.body = made.value
        return undefined
      }
      return made.value
    }
    for (const [at, kind] of KINDS.entries()) {
      for (const form of FORMS) {
        const path = `/values/${at}/${form}/:protocol/:verb` as const
        // The kinds that take no time are answered with at once, for that is another way through the pipeline.
        app.get(path, context => (kind.prepare === undefined ? atOnce(kind, form, context) : answerWith(kind, form, context)))
        app.put(path, context => answerWith(kind, form, context))
      }
    }
    app.put('/received/:id', async context => {
      this.received.set(context.params.id, { status: 200, bytes: Uint8Array.from(await context.bytes()), type: context.type })
      return reply(204)
    })
    this.app = app
  }

  /** `extend` adds routes of a test. */
  static async open(extend: (app: App & Routes) => void = () => undefined): Promise<ValueTown> {
    const town = new ValueTown()
    const { app } = town
    extend(app)
    app
      .use(http({ port: 0 }))
      .use(coap({ port: 0 }))
      .use(mqtt({ port: 0, statistics: false }))
      .use(tcp({ port: 0 }))
      .use(udp({ port: 0 }))
    const listeners = (await app.listen()) as Listener[]
    for (const [at, protocol] of (['http', 'coap', 'mqtt', 'tcp', 'udp'] as const).entries()) {
      const url = (listeners[at] as Listener).url
      const client = await town.#clients.connect(`${protocol}://127.0.0.1:${parseUrl(url).port}`)
      town.#peers.set(protocol, clientPeer(client, town.received))
      town.#asking.set(protocol, request => client.send(request))
    }
    town.#peers.set('invoke', inProcess(app, town.received))
    const handle = toFetchHandler(app)
    town.#peers.set('fetch', fetching(handle, app))
    town.#asking.set('invoke', request => app.invoke(request))
    town.#asking.set('fetch', request => fetched(handle, request))
    return town
  }

  /** Log lines that name a path of a value. */
  linesOf(path: string): readonly string[] {
    return this.#linesOf.get(path) ?? []
  }

  peer(protocol: Protocol): Peer {
    return this.#peers.get(protocol) as Peer
  }

  /** Sends a bag, and gives the answer. */
  ask(protocol: Protocol, request: Bag): Promise<ReceivedAnswer> {
    return (this.#asking.get(protocol) as (request: Bag) => Promise<ReceivedAnswer>)(request)
  }

  /** Closes the clients. */
  leave(): Promise<void> {
    return this.#clients.close({ timeout: 0 })
  }

  async close(): Promise<void> {
    await this.leave()
    await this.app.close({ timeout: 500 })
  }
}

const fetched = async (handle: (request: Request) => Promise<Response>, request: Bag): Promise<ReceivedAnswer> => {
  const { 'iopa.Method': method = 'GET', 'iopa.Path': path = '/', 'iopa.Headers': headers = {}, 'iopa.Body': body } = request
  const response = await handle(
    new Request(`http://localhost${path}`, {
      method,
      headers: headers as Record<string, string>,
      ...(body instanceof Uint8Array && { body: body as Uint8Array<ArrayBuffer> })
    })
  )
  const pairs: string[] = []
  response.headers.forEach((value, name) => void pairs.push(name, value))
  return receivedAnswer(response.status, {
    headers: new HeaderMap(pairs),
    type: response.headers.get('content-type') ?? '',
    payload: new Uint8Array(await response.arrayBuffer())
  })
}

const atOnce = (kind: Kind, form: Form, context: { response: { body: unknown; status: number } }): unknown => {
  if (form === 'reply') return reply(200, kind.make())
  if (form === 'body') {
    context.response.body = kind.make()
    return undefined
  }
  return kind.make()
}

const causeOf = ({ cause }: Error): string => (cause instanceof Error ? `(${cause.message})` : '')

const statusOf = (error: unknown): number => (error as { status?: number }).status ?? 0

const firstOf = async (answers: AsyncIterable<ReceivedAnswer>): Promise<Got> => {
  try {
    for await (const answer of answers) return await gotOf(answer)
    return { status: 0, bytes: NO_BYTES, type: '' }
  } catch (error) {
    if (statusOf(error) === 0) throw error
    return { status: statusOf(error), bytes: NO_BYTES, type: '' }
  }
}

let ids = 0
const taken = (received: Map<string, Got>, id: string): Got => {
  const got = received.get(id)
  if (got === undefined) throw new Error('nothing was received')
  received.delete(id)
  return got
}

const clientPeer = (client: Client, received: Map<string, Got>): Peer => ({
  send: async (method, path, headers) =>
    gotOf(await client.send({ 'iopa.Method': method, 'iopa.Path': path, 'iopa.Headers': headers, ...(method === 'PUT' && { 'iopa.Body': 'x' }) })),
  observe: path => firstOf(client.observe(path)),
  put: async (_, value) => {
    const id = String(++ids)
    await client.put(`/received/${id}`, value)
    return taken(received, id)
  }
})

/** In process nothing is sent, so the answer to HEAD still has the body that a transport leaves out. */
const sentOf = async (method: string, answer: ReceivedAnswer): Promise<Got> => {
  if (method !== 'HEAD') return gotOf(answer)
  await answer.bytes().catch(() => undefined)
  return { status: answer.status, type: answer.type, bytes: NO_BYTES }
}

const inProcess = (app: App, received: Map<string, Got>): Peer => ({
  send: async (method, path, headers) =>
    sentOf(
      method,
      await app.invoke({ 'iopa.Method': method, 'iopa.Path': path, 'iopa.Headers': headers, ...(method === 'PUT' && { 'iopa.Body': 'x' }) })
    ),
  observe: path => firstOf(app.observe(path)),
  put: async (_, value) => {
    const id = String(++ids)
    const answer = await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': `/received/${id}`, 'iopa.Body': value as never })
    if (!answer.ok) throw new Error(`answered ${answer.status}`)
    return taken(received, id)
  }
})

const fetching = (handle: (request: Request) => Promise<Response>, app: App): Peer => ({
  send: async (method, path, headers) => {
    const response = await handle(new Request(`http://localhost${path}`, { method, headers, ...(method === 'PUT' && { body: 'x' }) }))
    return {
      status: response.status,
      type: response.headers.get('content-type') ?? '',
      bytes: new Uint8Array(await response.arrayBuffer())
    }
  },
  observe: async path => {
    const stop = new AbortController()
    const response = await handle(new Request(`http://localhost${path}`, { headers: { accept: 'text/event-stream' }, signal: stop.signal }))
    if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true) {
      return { status: response.status, type: '', bytes: new Uint8Array(await response.arrayBuffer()) }
    }
    let text = ''
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    while (!/data: .*\n\n/.test(text)) {
      const { done, value } = await reader.read()
      if (done) break
      text += Buffer.from(value).toString()
    }
    await reader.cancel()
    stop.abort()
    const type = /^content-type: (.*)$/m.exec(text)?.[1] ?? ''
    const data = [...text.matchAll(/^data: (.*)$/gm)].map(([, line]) => line).join('\n')
    return type.endsWith(';base64')
      ? { status: 200, type: type.slice(0, -7), bytes: Uint8Array.from(Buffer.from(data, 'base64')) }
      : { status: 200, type, bytes: Uint8Array.from(Buffer.from(data)) }
  },
  put: (_, value) => inProcess(app, new Map()).put(_, value)
})
