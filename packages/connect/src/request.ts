import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { Context } from '@iopa/appbuilder'
import { encodePath } from '@iopa/context/host'
import type { NodeResponse } from './response.ts'
import { RequestSocket } from './socket.ts'

// The members that this class makes on first use are fields in the type of the other.
interface Message
  extends Readable,
    Pick<IncomingMessage, 'httpVersion' | 'httpVersionMajor' | 'httpVersionMinor' | 'method' | 'url' | 'aborted' | 'complete'> {
  /** Adds a field by the rules of Node: which are joined, and which occur once. */
  _addHeaderLine(name: string, value: string, headers: IncomingMessage['headers']): void
  _addHeaderLineDistinct(name: string, value: string, headers: IncomingMessage['headersDistinct']): void
  readonly _readableState: { readingMore: boolean }
}
const Message = IncomingMessage as unknown as new (socket: null) => Message

/** A request of the app as Node, Connect and Express show one. What it is asked for is read from the context then. */
export class NodeRequest extends Message {
  res: NodeResponse | null = null
  /** The path and query as they came, mounts included. */
  readonly originalUrl: string
  /** What mounts have taken off the path. */
  baseUrl = ''
  readonly #context: Context
  #socket: RequestSocket | null = null
  #pairs: string[] | null = null
  #headers: IncomingMessage['headers'] | null = null
  #chunks: AsyncIterator<Uint8Array> | null = null

  constructor(context: Context) {
    super(null)
    this.#context = context
    const version = context.protocol.slice('HTTP/'.length)
    this.httpVersion = version
    this.httpVersionMajor = Number.parseInt(version, 10)
    this.httpVersionMinor = Number(version.split('.')[1] ?? 0)
    this.method = context.requestedMethod
    this.originalUrl = context['server.RawPath'] + queryOf(context)
    this.place(context)
  }

  /** Makes `url` that of the place where the middleware stands: canonical, so that it compares the path that routes match; without the prefix of a mount. */
  place(context: Context): void {
    const { path, pathBase } = context
    this.baseUrl = pathBase === '' ? '' : encodePath(pathBase)
    this.url = (pathBase === '' && path === context['server.RawPath'] ? path : encodePath(path)) + queryOf(context)
  }

  // The constructor of IncomingMessage assigns what this class makes on first use.
  get socket(): Socket {
    return (this.#socket ??= new RequestSocket(this.#context, () => this.res?.destroy())) as unknown as Socket
  }
  set socket(_none: Socket) {}

  get rawHeaders(): string[] {
    return (this.#pairs ??= [...this.#context.headers].flat())
  }
  set rawHeaders(_none: string[]) {}

  get headers(): IncomingMessage['headers'] {
    if (this.#headers === null) {
      this.#headers = {}
      for (const [name, value] of this.#context.headers) this._addHeaderLine(name, value, this.#headers)
    }
    return this.#headers
  }
  get headersDistinct(): IncomingMessage['headersDistinct'] {
    const headers: IncomingMessage['headersDistinct'] = Object.create(null)
    for (const [name, value] of this.#context.headers) this._addHeaderLineDistinct(name, value, headers)
    return headers
  }

  get ip(): string {
    return this.#context.remoteAddress
  }
  get protocol(): string {
    return this.#context.scheme
  }
  get secure(): boolean {
    return this.#context.scheme === 'https'
  }
  get hostname(): string {
    return this.#context.host
  }
  get path(): string {
    return (this.url as string).replace(/\?.*$/s, '')
  }
  get params(): Readonly<Record<string, string>> {
    return this.#context.params
  }
  get query(): Readonly<Record<string, string | string[]>> {
    const values: Record<string, string | string[]> = Object.create(null)
    const query = this.#context.query
    for (const name of new Set(query.keys())) {
      const all = query.getAll(name)
      values[name] = all.length === 1 ? (all[0] as string) : all
    }
    return values
  }
  get(name: string): string | string[] | undefined {
    const lower = name.toLowerCase()
    return this.headers[lower === 'referrer' ? 'referer' : lower]
  }
  header(name: string): string | string[] | undefined {
    return this.get(name)
  }

  setTimeout(): this {
    return this
  }

  /** The context has ended: readers and those who wait for it hear that. */
  over(finished: boolean): void {
    if (this.destroyed) return
    if (!finished) {
      this.aborted = true
      this.emit('aborted')
    }
    if (this.readableDidRead || this.listenerCount('close') > 0) this.destroy(finished ? undefined : aborted())
  }

  override _read(): void {
    // The constructor sets it, for messages whose bytes a socket brings unasked.
    this._readableState.readingMore = false
    const body = this.#context.body
    if (body === null) {
      this.#complete()
      return
    }
    try {
      this.#chunks ??= body[Symbol.asyncIterator]()
      this.#chunks.next().then(
        ({ done, value }) => (done === true ? this.#complete() : this.push(value)),
        (error: Error) => this.destroy(error)
      )
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  #complete(): void {
    this.complete = true
    this.push(null)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.complete) void this.#chunks?.return?.()?.catch(() => undefined)
    // As in Node: without a listener the failure of a request ends no process.
    process.nextTick(() => callback(this.listenerCount('error') === 0 ? null : error))
  }
}

const queryOf = (context: Context): string => (context['iopa.QueryString'] === '' ? '' : `?${context['iopa.QueryString']}`)

const aborted = (): Error => Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
