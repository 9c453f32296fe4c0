import net from 'node:net'
import { App, type AppOptions, type Context, type MiddlewareFunction } from '@iopa/appbuilder'
import type { Listener } from '@iopa/transport'
import { afterEach } from 'vitest'
import { type HttpOptions, http } from '../src/index.ts'

const open: (() => unknown)[] = []

/** Ends with the test. */
export const atEnd = (dispose: () => unknown): void => {
  open.push(dispose)
}

afterEach(async () => {
  for (const dispose of open.splice(0).reverse()) await dispose()
})

export interface Served {
  readonly app: App
  readonly listener: Listener
  readonly port: number
  /** Without a slash at its end. */
  readonly origin: string
  /** What the server has logged as errors. */
  readonly errors: readonly unknown[][]
}

/** An app with one handler on an HTTP port. */
export const serve = async (handler: MiddlewareFunction<Context>, options: HttpOptions & { readonly app?: AppOptions } = {}): Promise<Served> => {
  const errors: unknown[][] = []
  const logger = { error: (...data: unknown[]) => void errors.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  const { app: appOptions, ...rest } = options
  const app = new App({ logger, ...appOptions }).use(http({ port: 0, ...rest })).use(handler)
  const [listener] = (await app.listen()) as [Listener]
  atEnd(() => app.close({ timeout: 100 }))
  return { app, listener, port: Number(listener.url.port), origin: listener.url.origin, errors }
}

/**
 * Resolves with a value once it has not changed for 100 turns of the event loop. Both ends of a connection are in this process:
 * bytes move in turns, and none move in a turn that the system does not run.
 */
export async function settled(value: () => number): Promise<number> {
  let last = value()
  for (let turns = 0; turns < 100; turns++) {
    await new Promise(resolve => setImmediate(resolve))
    if (value() === last) continue
    last = value()
    turns = 0
  }
  return last
}

/** A client on a bare socket. */
export class Peer {
  readonly socket: net.Socket
  /** Everything received, as Latin-1. */
  text = ''
  ended = false
  closed = false
  readonly #waiting = new Set<() => void>()

  constructor(port: number, options: { readonly allowHalfOpen?: boolean } = {}) {
    this.socket = net.connect({ host: '127.0.0.1', port, ...options })
    this.socket.on('data', chunk => {
      this.text += chunk.toString('latin1')
      this.#notify()
    })
    this.socket.on('error', () => undefined)
    this.socket.on('end', () => {
      this.ended = true
      this.#notify()
    })
    this.socket.on('close', () => {
      this.closed = true
      this.#notify()
    })
    atEnd(() => this.socket.destroy())
  }

  send(data: string | Uint8Array): this {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data)
    return this
  }

  /** Resolves when the text matches or the condition holds; rejects when the connection closes before, or after ten seconds. */
  async until(wanted: RegExp | (() => boolean)): Promise<string> {
    const reached = typeof wanted === 'function' ? wanted : () => wanted.test(this.text)
    const end = Date.now() + 10_000
    while (!reached()) {
      if (this.closed || Date.now() > end)
        throw new Error(`${wanted} did not come, ${this.closed ? 'closed' : 'open'} after: ${JSON.stringify(this.text.slice(-500))}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, 1000)
        this.#waiting.add(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    return this.text
  }

  /** Everything received until the server has ended the connection. */
  async untilEnd(): Promise<string> {
    await this.until(() => this.ended || this.closed)
    return this.text
  }

  #notify(): void {
    for (const notify of this.#waiting) notify()
    this.#waiting.clear()
  }
}

/** Sends bytes on a connection of their own and gives back all that comes until the server ends it. */
export const ask = async (port: number, data: string | Uint8Array): Promise<string> => {
  const peer = new Peer(port)
  peer.send(data)
  const text = await peer.untilEnd()
  peer.socket.destroy()
  return text
}

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Takes one answer apart; its body is UTF-8. */
export const parse = (text: string): RawAnswer => {
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const [line = '', ...fields] = head.split('\r\n')
  const headers: Record<string, string> = {}
  for (const field of fields) {
    const colon = field.indexOf(':')
    headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim()
  }
  return { status: Number(line.split(' ')[1]), headers, body: Buffer.from(rest.join('\r\n\r\n'), 'latin1').toString() }
}

/** Waits until a condition holds; rejects after ten seconds. */
export const eventually = async (what: string, condition: () => boolean): Promise<void> => {
  const end = Date.now() + 10_000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not happen: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

/** A promise and what settles it. */
export const gate = <T = void>(): { readonly promise: Promise<T>; open(value: T): void } => {
  let release: (value: T) => void = () => undefined
  const promise = new Promise<T>(resolve => {
    release = resolve
  })
  return { promise, open: value => release(value) }
}
