import dgram from 'node:dgram'
import { App, type Context, type Logger } from '@iopa/appbuilder'
import type { Listener } from '@iopa/transport'
import { afterEach } from 'vitest'
import { type UdpOptions, udp } from '../src/index.ts'

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
  /** What the server logged as errors. */
  readonly errors: unknown[][]
}

/** An app with one handler on a UDP port. */
export async function serve(handler: (context: Context) => unknown, options: UdpOptions = {}): Promise<Served> {
  const errors: unknown[][] = []
  const logger: Logger = { error: (...data) => errors.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  const app = new App({ logger }).use(udp({ port: 0, ...options })).use(handler)
  const [listener] = await app.listen()
  atEnd(() => app.close({ timeout: 200 }))
  return { app, listener: listener!, port: Number(listener!.url.port), errors }
}

/** A peer on a bare socket. */
export class Peer {
  readonly socket: dgram.Socket
  readonly datagrams: Buffer[] = []
  #waiting: { count: number; resolve: () => void }[] = []

  constructor(socket: dgram.Socket) {
    this.socket = socket
    socket.on('message', bytes => {
      this.datagrams.push(bytes)
      this.#waiting = this.#waiting.filter(({ count, resolve }) => count > this.datagrams.length || resolve())
    })
  }

  send(data: unknown): void {
    this.socket.send(typeof data === 'string' || data instanceof Uint8Array ? data : JSON.stringify(data))
  }

  /** The first so many datagrams as JSON. */
  async answers(count: number): Promise<Record<string, unknown>[]> {
    if (this.datagrams.length < count) await new Promise<void>(resolve => this.#waiting.push({ count, resolve }))
    return this.datagrams.map(bytes => JSON.parse(bytes.toString()))
  }
}

export async function dial(port: number, host = '127.0.0.1'): Promise<Peer> {
  const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4')
  await new Promise<void>(resolve => socket.connect(port, host, resolve))
  atEnd(() => socket.close())
  return new Peer(socket)
}

/** Resolves when the condition holds; asks again each turn of the event loop, for 5 seconds at most. */
export async function eventually(condition: () => boolean): Promise<void> {
  const end = Date.now() + 5000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not come true: ${condition}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

export const get = (path: string, seq?: number | string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  'iopa.Method': 'GET',
  'iopa.Path': path,
  ...(seq === undefined ? {} : { 'iopa.Seq': seq }),
  ...more
})
export const put = (path: string, body: unknown, seq?: number | string): Record<string, unknown> => ({
  ...get(path, seq),
  'iopa.Method': 'PUT',
  'iopa.Body': body
})
