import net from 'node:net'
import { App, type Context, type Limits, type Logger } from '@iopa/appbuilder'
import type { Listener } from '@iopa/transport'
import { afterEach } from 'vitest'
import { type TcpOptions, tcp } from '../src/index.ts'

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
  readonly url: URL
  readonly port: number
  /** What the server logged as errors. */
  readonly errors: unknown[][]
}

/** An app with one handler on a TCP port. */
export async function serve(
  handler: (context: Context) => unknown,
  options: TcpOptions & { readonly appLimits?: Partial<Limits> } = {}
): Promise<Served> {
  const errors: unknown[][] = []
  const logger: Logger = { error: (...data) => errors.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  const { appLimits, ...rest } = options
  const app = new App({ logger, ...(appLimits && { limits: appLimits }) })
  app.use(tcp({ port: 0, ...rest }))
  app.use(handler as never)
  const [listener] = await app.listen()
  atEnd(() => app.close({ timeout: 200 }))
  return { app, listener: listener!, url: listener!.url, port: Number(listener!.url.port), errors }
}

/** A peer on a bare socket. */
export class Peer {
  readonly socket: net.Socket
  /** What came, read by read. */
  readonly reads: Buffer[] = []
  /** The whole lines of it. */
  readonly lines: string[] = []
  /** What came behind the last whole line. */
  #rest: Buffer[] = []
  readonly #bags: Record<string, unknown>[] = []
  ended = false
  closed = false
  #waiting: { done: () => boolean; resolve: () => void }[] = []

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', chunk => {
      this.reads.push(chunk)
      let start = 0
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
        this.lines.push(Buffer.concat([...this.#rest, chunk.subarray(start, at)]).toString())
        this.#rest = []
        start = at + 1
      }
      if (start < chunk.length) this.#rest.push(chunk.subarray(start))
      this.#check()
    })
    socket.on('end', () => {
      this.ended = true
      this.#check()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.closed = true
      this.#check()
    })
  }

  write(data: string | Uint8Array): void {
    this.socket.write(data)
  }

  send(...bags: unknown[]): void {
    this.socket.write(bags.map(bag => `${typeof bag === 'string' ? bag : JSON.stringify(bag)}\n`).join(''))
  }

  end(): void {
    this.socket.end()
  }

  get received(): Buffer {
    return Buffer.concat(this.reads)
  }

  get text(): string {
    return this.received.toString()
  }

  get lineCount(): number {
    return this.lines.length
  }

  /** The lines as bags. Each line is parsed once, however often this is asked for. */
  get bags(): Record<string, unknown>[] {
    for (const line of this.lines.slice(this.#bags.length)) this.#bags.push(JSON.parse(line))
    return [...this.#bags]
  }

  /** Waits for a state of this peer. */
  until(done: (peer: this) => boolean): Promise<void> {
    if (done(this)) return Promise.resolve()
    return new Promise(resolve => this.#waiting.push({ done: () => done(this), resolve }))
  }

  async answers(count: number): Promise<Record<string, unknown>[]> {
    await this.until(() => this.lineCount >= count || this.closed)
    return this.bags
  }

  #check(): void {
    this.#waiting = this.#waiting.filter(({ done, resolve }) => !done() || resolve())
  }
}

export async function dial(port: number, options: Partial<net.TcpNetConnectOpts> = {}): Promise<Peer> {
  const socket = net.connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true, ...options })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  atEnd(() => socket.destroy())
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
