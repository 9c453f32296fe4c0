// One request of one app on every protocol, through clients of ours, the fetch handler and `app.invoke`.
import { App, type AppOptions, type Bag, type Client, type MiddlewareFunction } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { toFetchHandler } from '@iopa/http/fetch'
import { mqtt } from '@iopa/mqtt'
import { type Routes, router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { memory } from '@iopa/testing'
import { HeaderMap, type ReceivedAnswer, receivedAnswer } from '@iopa/transport'
import { udp } from '@iopa/udp'

/** The columns of the table. */
export const PROTOCOLS = ['http', 'coap', 'mqtt', 'tcp', 'udp', 'memory', 'fetch', 'invoke'] as const
export type Protocol = (typeof PROTOCOLS)[number]

/** What a request says beside its method and path. */
export interface Ask {
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: string
  readonly body?: unknown
}

/** An app, and a way to ask it on one protocol. */
export interface Place {
  readonly app: App & Routes
  /** Resolves with the answer; rejects when none comes. */
  ask(method: string, path: string, options?: Ask): Promise<ReceivedAnswer>
  /** The client; undefined for the fetch handler and `app.invoke`, which have none. */
  readonly client: Client | undefined
  readonly fetch: ((request: Request) => Promise<Response>) | undefined
  close(): Promise<void>
}

/** Longest wait for one answer, in milliseconds. */
const TIMEOUT = 14_000

const bagOf = (method: string, path: string, { headers, query, body }: Ask): Bag => ({
  'iopa.Method': method,
  'iopa.Path': path,
  ...(query === undefined ? {} : { 'iopa.QueryString': query }),
  ...(headers === undefined ? {} : { 'iopa.Headers': headers }),
  ...(body === undefined ? {} : { 'iopa.Body': body })
})

const transportOf = (protocol: Exclude<Protocol, 'fetch' | 'invoke'>) =>
  ({
    http: () => http({ port: 0 }),
    coap: () => coap({ port: 0 }),
    mqtt: () => mqtt({ port: 0, statistics: false }),
    tcp: () => tcp({ port: 0 }),
    udp: () => udp({ port: 0 }),
    memory: () => memory()
  })[protocol]()

/** Serves what `build` adds to an app, and opens a client. */
export const open = async (
  protocol: Protocol,
  build: (app: App & Routes) => unknown,
  options: AppOptions & { readonly around?: MiddlewareFunction; readonly timeout?: number } = {}
): Promise<Place> => {
  const { around, timeout = TIMEOUT, ...appOptions } = options
  const app = new App({ logger: false, ...appOptions }).use(around ?? ((_, next) => next())).use(router())
  if (protocol === 'invoke') {
    build(app)
    return {
      app,
      ask: (method, path, asked = {}) => app.invoke(bagOf(method, path, asked)),
      client: undefined,
      fetch: undefined,
      close: () => app.close({ timeout: 100 })
    }
  }
  if (protocol === 'fetch') {
    build(app)
    const handler = toFetchHandler(app)
    return {
      app,
      ask: async (method, path, { headers, query, body } = {}) => {
        const init = { method, headers: headers as Record<string, string>, ...(body === undefined ? {} : { body: body as BodyInit }) }
        return received(await handler(new Request(`http://app.test${path}${query === undefined ? '' : `?${query}`}`, init)))
      },
      client: undefined,
      fetch: handler,
      close: () => app.close({ timeout: 100 })
    }
  }
  app.use(transportOf(protocol))
  build(app)
  const [listener] = await app.listen()
  const clients = protocol === 'memory' ? app : new App({ logger: false }).use(transportOf(protocol))
  const client = await clients.connect((listener as { url: URL }).url, { timeout })
  return {
    app,
    ask: (method, path, asked = {}) => client.send(bagOf(method, path, asked)),
    client,
    fetch: undefined,
    async close() {
      await client.close()
      await clients.close({ timeout: 100 })
      await app.close({ timeout: 100 })
    }
  }
}

const received = async (response: Response): Promise<ReceivedAnswer> => {
  const headers = new HeaderMap()
  response.headers.forEach((value, name) => {
    headers.append(name, value)
  })
  const bytes = new Uint8Array(await response.arrayBuffer())
  return receivedAnswer(response.status, {
    headers,
    type: response.headers.get('content-type') ?? '',
    payload: bytes.length === 0 ? null : bytes
  })
}

/** A row of the document: what it is called, and what each protocol has in its column. */
export interface Row {
  readonly what: string
  readonly cells: Readonly<Record<string, string>>
}

/** The rows of the table of protocols in a text. */
export const tableIn = (text: string): Row[] => {
  const lines = text.split('\n')
  const head = lines.findIndex(line => line.startsWith('| what | http |'))
  const names = cellsOf(lines[head] ?? '').slice(1)
  const rows: Row[] = []
  for (const line of lines.slice(head + 2)) {
    if (!line.startsWith('|')) break
    const [what = '', ...cells] = cellsOf(line)
    rows.push({ what: what.replaceAll('`', ''), cells: Object.fromEntries(names.map((name, at) => [name, cells[at] ?? ''])) })
  }
  return rows
}

const cellsOf = (line: string): string[] =>
  line
    .slice(1, line.lastIndexOf('|'))
    .split('|')
    .map(cell => cell.trim())
