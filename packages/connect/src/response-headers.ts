import { STATUS_CODES } from 'node:http'
import { Writable } from 'node:stream'
import type { Context } from '@iopa/appbuilder'

type HeaderValue = string | number | readonly string[]

/** Header fields as `writeHead` takes them: an object, or a flat list of names and values. */
export type HeaderSource = Readonly<Record<string, HeaderValue | undefined>> | readonly HeaderValue[]

/** The header fields of the app's answer by the methods of Node, and what Express adds to answer with. */
export abstract class ResponseHeaders extends Writable {
  readonly context: Context

  constructor(context: Context) {
    super()
    this.context = context
  }

  abstract statusCode: number
  abstract get headersSent(): boolean

  setHeader(name: string, value: HeaderValue): this {
    if (this.headersSent) throw sent()
    this.context.response.headers.set(name, textOf(value))
    return this
  }

  appendHeader(name: string, value: HeaderValue): this {
    if (this.headersSent) throw sent()
    const text = textOf(value)
    for (const one of typeof text === 'string' ? [text] : text) this.context.response.headers.append(name, one)
    return this
  }

  setHeaders(headers: Iterable<readonly [string, HeaderValue]>): this {
    for (const [name, value] of headers) this.setHeader(name, value)
    return this
  }

  getHeader(name: string): string | string[] | undefined {
    const { headers, type } = this.context.response
    const values = headers.getAll(name)
    if (values.length === 0) return type !== '' && /^content-type$/i.test(name) ? type : undefined
    return values.length === 1 ? values[0] : values
  }

  getHeaders(): Record<string, string | string[] | undefined> {
    const fields: Record<string, string | string[] | undefined> = Object.create(null)
    for (const name of this.getHeaderNames()) fields[name] = this.getHeader(name)
    return fields
  }

  getHeaderNames(): string[] {
    return [...new Set(Array.from(this.context.response.headers, ([name]) => name.toLowerCase()))]
  }

  hasHeader(name: string): boolean {
    return this.context.response.headers.has(name)
  }

  removeHeader(name: string): void {
    if (this.headersSent) throw sent()
    this.context.response.headers.delete(name)
  }

  /** Adds what `writeHead` was given. */
  protected assign(headers: HeaderSource | undefined): void {
    if (headers === undefined) return
    if (!Array.isArray(headers)) {
      for (const [name, value] of Object.entries(headers)) if (value !== undefined) this.setHeader(name, value)
      return
    }
    for (let at = 0; at + 1 < headers.length; at += 2) this.context.response.headers.delete(String(headers[at]))
    for (let at = 0; at + 1 < headers.length; at += 2) this.appendHeader(String(headers[at]), headers[at + 1] as HeaderValue)
  }

  // What Express adds.

  status(code: number): this {
    this.statusCode = code
    return this
  }
  sendStatus(code: number): this {
    return this.status(code)
      .type('text/plain')
      .end(STATUS_CODES[code] ?? String(code))
  }
  set(name: string | Readonly<Record<string, HeaderValue>>, value?: HeaderValue): this {
    if (typeof name === 'string') return this.setHeader(name, value as HeaderValue)
    for (const [field, text] of Object.entries(name)) this.setHeader(field, text)
    return this
  }
  header(name: string | Readonly<Record<string, HeaderValue>>, value?: HeaderValue): this {
    return this.set(name, value)
  }
  get(name: string): string | string[] | undefined {
    return this.getHeader(name)
  }
  append(name: string, value: HeaderValue): this {
    return this.appendHeader(name, value)
  }
  type(type: string): this {
    return this.setHeader('content-type', type)
  }
  json(value: unknown): this {
    if (!this.hasHeader('content-type')) this.type('application/json; charset=utf-8')
    return this.end(JSON.stringify(value))
  }
  send(body?: unknown): this {
    if (typeof body === 'string') {
      if (!this.hasHeader('content-type')) this.type('text/html; charset=utf-8')
      return this.end(body)
    }
    return body === undefined || body instanceof Uint8Array ? this.end(body) : this.json(body)
  }
  redirect(first: number | string, second?: string): void {
    const [status, location] = typeof first === 'number' ? [first, second as string] : [302, first]
    // As Express: what a URL may hold stays, so that nothing breaks out of the field.
    this.status(status).setHeader('location', encodeURI(decodable(location)))
    this.type('text/plain').end(`${STATUS_CODES[status]}. Redirecting to ${location}`)
  }
}

const textOf = (value: HeaderValue): string | readonly string[] => (Array.isArray(value) ? value.map(String) : String(value))

/** The text with what is encoded already taken back, so that it is not encoded twice; as it is where it cannot be. */
const decodable = (text: string): string => {
  try {
    return decodeURI(text)
  } catch {
    return text
  }
}

const sent = (): Error => Object.assign(new Error('Cannot set headers after they are sent to the client'), { code: 'ERR_HTTP_HEADERS_SENT' })
