import { createServer, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import { App, type Context } from '@iopa/appbuilder'
import { type VirtualClock, virtualClock } from '@iopa/testing'
import { type ByteChannel, type ByteNetwork, type ByteReceiver, HeaderMap } from '@iopa/transport'
import { http } from '../src/index.ts'

/** A request as a server has read it. */
export interface Reading {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly fields: readonly string[]
  /** Latin-1. */
  readonly body: string
}

/** What a server has made of bytes. */
export interface Verdict {
  /** By the place of its answer: the request that was read; null for one that was refused. */
  readonly requests: readonly (Reading | null)[]
  /** All that the server has written, as Latin-1. */
  readonly output: string
}

/** One end of a connection whose other end is the test. */
export class WireChannel implements ByteChannel {
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 1
  readonly localAddress = '127.0.0.1'
  readonly localPort = 2
  readonly tls = false
  readonly raw = null
  /** Bytes that the peer does not read, once it is `full`. */
  buffered = 0
  full = false
  receiver: ByteReceiver | null = null
  output = ''
  writes = 0
  ended = false

  open(receiver: ByteReceiver): void {
    this.receiver = receiver
  }
  write(data: Uint8Array | string): boolean {
    const bytes = Buffer.from(data as string)
    this.writes++
    this.output += bytes.toString('latin1')
    if (this.full) this.buffered += bytes.length
    return !this.full
  }
  pause(): void {}
  resume(): void {}
  end(): void {
    this.ended = true
  }
  destroy(): void {
    this.ended = true
    this.receiver?.close()
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** An app without a network: connections are opened by hand. */
export const wireServer = async (
  handler: (context: Context) => unknown
): Promise<{ readonly app: App; readonly clock: VirtualClock; open(): WireChannel }> => {
  let accept: (channel: ByteChannel) => void = () => undefined
  const network = {
    listen: async (_: unknown, accepted: (channel: ByteChannel) => void) => {
      accept = accepted
      return { address: '127.0.0.1', port: 80, close: async () => undefined }
    }
  } as unknown as ByteNetwork
  const clock = virtualClock()
  const app = new App({ logger: false, clock })
    .use(http({ port: 8080, network, clock, hosts: ['*'], limits: { connections: 1e9 } }))
    .use(handler as never)
  await app.listen()
  const open = (): WireChannel => {
    const channel = new WireChannel()
    accept(channel)
    return channel
  }
  return { app, clock, open }
}

/** What `@iopa/http` makes of bytes that come in these pieces. */
export const ownReader = async (): Promise<(pieces: readonly Uint8Array[]) => Promise<Verdict>> => {
  let readings: Reading[] = []
  const { open } = await wireServer(async context => {
    const body = Buffer.from(await context.bytes()).toString('latin1')
    const { method, rawPath, query } = { method: context.method, rawPath: context['server.RawPath'], query: context['iopa.QueryString'] }
    context.response.headers = new HeaderMap(['x-reading', String(readings.length)])
    readings.push({ method, path: rawPath, query, fields: [...context.headers].flat(), body })
    return 'read'
  })
  return async pieces => {
    readings = []
    const channel = open()
    for (const piece of pieces) channel.receiver?.data(piece)
    for (let seen = -1; seen !== channel.output.length; ) {
      seen = channel.output.length
      await turn()
      await turn()
    }
    const { output } = channel
    channel.destroy()
    return { requests: answersIn(output).map(head => readings[Number(/x-reading: (\d+)/.exec(head)?.[1])] ?? null), output }
  }
}

/** The heads of the answers in a text, without those of 100 Continue. */
const answersIn = (output: string): string[] => {
  const heads: string[] = []
  for (let rest = output; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n') + 4
    if (end < 4) throw new Error(`no answer: ${rest}`)
    const head = rest.slice(0, end)
    if (!head.startsWith('HTTP/1.1 100 ')) heads.push(head)
    const isHeadOnly = /^HTTP\/1\.1 (?:100|204)/.test(head) || head.includes('x-head')
    rest = rest.slice(end + (isHeadOnly ? 0 : Number(/content-length: (\d+)/.exec(head)?.[1] ?? 0)))
  }
  return heads
}

/** What the parser of node:http makes of the same bytes. */
export const nodeReader = (): ((bytes: Uint8Array) => Promise<readonly Reading[]>) => {
  const server = createServer({ insecureHTTPParser: false, requireHostHeader: false, keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0 })
  server.maxHeadersCount = 0
  let readings: Reading[] = []
  let pending = 0
  const receive = (message: IncomingMessage): void => {
    const chunks: Buffer[] = []
    const at = readings.length
    const target = (message.url as string).replace(/^https?:\/\/[^/?#]+/i, '').replace(/^(?!\/)/, message.url === '*' ? '' : '/')
    const mark = target.indexOf('?')
    const reading = {
      method: message.method as string,
      path: mark < 0 ? target : target.slice(0, mark),
      query: mark < 0 ? '' : target.slice(mark + 1)
    }
    readings.push({ ...reading, fields: message.rawHeaders, body: 'incomplete' })
    pending++
    message.on('data', chunk => chunks.push(chunk as Buffer))
    message.on('end', () => {
      readings[at] = { ...reading, fields: message.rawHeaders, body: Buffer.concat(chunks).toString('latin1') }
    })
    message.on('close', () => pending--)
  }
  for (const event of ['request', 'checkContinue', 'checkExpectation']) {
    server.on(event, (message, response) => {
      receive(message)
      message.on('end', () => response.end('read'))
    })
  }
  server.on('clientError', () => undefined)
  return async bytes => {
    readings = []
    pending = 0
    const wire = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
    wire.on('error', () => undefined)
    server.emit('connection', wire)
    wire.push(bytes)
    for (let seen = -1, quiet = 0; quiet < 3; ) {
      quiet = seen === readings.length ? quiet + 1 : 0
      seen = readings.length
      await turn()
    }
    wire.destroy()
    return readings
  }
}
