// What the tests of static files share: a tree with secrets beside it, raw HTTP requests, raw CoAP datagrams.
import { createSocket, type Socket } from 'node:dgram'
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App, type Transport } from '@iopa/appbuilder'
import { type StaticOptions, serveStatic } from '@iopa/static'
import type { Listener } from '@iopa/transport'
import { generate, type ParsedPacket, parse } from 'coap-packet'

/** Stands in every file outside the root, and in none inside. */
export const SECRET = 'SECRET-OUTSIDE-THE-ROOT'

/** A folder to serve, and things around it that must not be served. */
export interface Tree {
  readonly base: string
  readonly root: string
  remove(): void
}

/** Makes the tree that the corpus tries to leave. */
export const makeTree = (files: Readonly<Record<string, string | Uint8Array>> = {}): Tree => {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'iopa-tree-')))
  const root = join(base, 'public')
  const put = (path: string, content: string | Uint8Array): void => {
    mkdirSync(join(base, path, '..'), { recursive: true })
    writeFileSync(join(base, path), content)
  }
  for (const path of [
    'secret.txt',
    'public-old/secret.txt',
    'public.txt',
    'outside/secret.txt',
    'public/.env',
    'public/.git/config',
    'public/con',
    'public/a:b'
  ])
    put(path, SECRET)
  put('public/a.txt', '0123456789')
  put('public/index.html', '<!doctype html>')
  put('public/docs/index.html', '<p>docs')
  put('public/bare/x.bin', 'x')
  put('public/.well-known/security.txt', 'contact')
  for (const [path, content] of Object.entries(files)) put(join('public', path), content)
  symlinkSync('../secret.txt', join(root, 'link.txt'))
  symlinkSync('../outside', join(root, 'link'))
  symlinkSync('../public-old', join(root, 'sibling'))
  symlinkSync('a.txt', join(root, 'inside.txt'))
  return { base, root, remove: () => rmSync(base, { recursive: true, force: true }) }
}

/** An app that serves a folder over one transport. */
export interface Served {
  readonly app: App
  readonly port: number
}

/** Serves a folder until the test file closes the app. */
export const serve = async (root: string, transport: Transport, options: StaticOptions = {}): Promise<Served> => {
  const app = new App({ logger: false }).use(serveStatic(root, options)).use(transport)
  const [listener] = (await app.listen()) as [Listener]
  return { app, port: Number(listener.url.port) }
}

/** Descriptors of this process that lead below a folder. */
export const descriptorsBelow = (folder: string): number =>
  readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)
    } catch {
      return false
    }
  }).length

/** An HTTP answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number
  /** Lower-case names; several values joined with a comma. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
  /** Everything that came. */
  readonly wire: Buffer
}

/** Sends a request target exactly as given, and reads until the server closes. */
export const rawHttp = (port: number, target: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    const fields = Object.entries({ host: '127.0.0.1', connection: 'close', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from(`${method} ${target} HTTP/1.1\r\n${fields.join('')}\r\n`, 'utf8')))
    socket.setTimeout(10_000, () => socket.destroy(new Error(`no answer to ${method} ${target}`)))
    socket.on('data', chunk => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('end', () => resolve(readAnswer(Buffer.concat(chunks))))
  })

const readAnswer = (wire: Buffer): RawAnswer => {
  const end = wire.indexOf('\r\n\r\n')
  const [status = '', ...lines] = wire.toString('latin1', 0, end).split('\r\n')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value)
  }
  return { status: Number(status.split(' ')[1]), headers, body: wire.subarray(end + 4), wire }
}

/** An option of a request: its number, and its value. */
export type CoapOption = readonly [number: number, value: Uint8Array | string]

/** Asks one CoAP server from one socket, message by message. */
export class RawCoap {
  readonly #socket: Socket = createSocket('udp4')
  readonly #port: number
  readonly #waiting = new Map<number, (packet: ParsedPacket) => void>()
  /** Takes the response of a request that was acknowledged without one: a busy machine sends it in a message of its own. */
  #separate: ((packet: ParsedPacket) => void) | undefined
  #id = Math.floor(Math.random() * 0xffff)

  constructor(port: number) {
    this.#port = port
    this.#socket.on('message', datagram => {
      const packet = parse(datagram)
      if (packet.confirmable) this.#separate?.(packet)
      else this.#waiting.get(packet.messageId)?.(packet)
      if (packet.confirmable) this.#socket.send(generate({ ack: true, messageId: packet.messageId, code: '0.00' }), this.#port, '127.0.0.1')
      this.notified(packet)
    })
  }

  /** Called with every message that comes. */
  notified: (packet: ParsedPacket) => void = () => {}

  /** A confirmable request with these options, and its response; sent again when nothing comes. */
  request(code: string, options: readonly CoapOption[], token: Uint8Array = new Uint8Array([1])): Promise<ParsedPacket> {
    const messageId = (this.#id = (this.#id + 1) & 0xffff)
    const message = generate({
      code,
      confirmable: true,
      messageId,
      token: Buffer.from(token),
      options: options.map(([number, value]) => ({ name: number as never, value: Buffer.from(value as Uint8Array) }))
    })
    return new Promise((resolve, reject) => {
      const send = (): void => this.#socket.send(message, this.#port, '127.0.0.1')
      const again = setInterval(send, 2000)
      const limit = setTimeout(() => settle(() => reject(new Error(`no answer to ${code} ${JSON.stringify(options)}`))), 9000)
      const settle = (done: () => void): void => {
        clearInterval(again)
        clearTimeout(limit)
        this.#waiting.delete(messageId)
        done()
      }
      const answered = (packet: ParsedPacket): void => settle(() => resolve(packet))
      this.#waiting.set(messageId, packet => {
        if (packet.code !== '0.00') {
          answered(packet)
          return
        }
        clearInterval(again)
        this.#separate = late => {
          if (!late.token.equals(token)) return
          this.#separate = undefined
          answered(late)
        }
      })
      send()
    })
  }

  /** GET of a path of decoded segments, with further options of a higher number than Uri-Path. */
  get(segments: readonly string[], further: readonly CoapOption[] = []): Promise<ParsedPacket> {
    return this.request('0.01', [...segments.map(segment => [11, segment] as const), ...further])
  }

  close(): void {
    this.#socket.close()
  }
}

/** The value of a Block2 option. */
export const block2 = (num: number, szx: number): Uint8Array => {
  const value = num * 16 + szx
  const bytes: number[] = []
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 255)
  return Uint8Array.from(bytes)
}

/** The value of an option of a message, by name or number. */
export const optionOf = (packet: ParsedPacket, name: string | number): Buffer | undefined =>
  packet.options.find(option => option.name === name)?.value

/** What a message is about, as a number. */
export const uintOf = (value: Buffer | undefined): number => value?.reduce((sum, byte) => sum * 256 + byte, 0) ?? 0

const UPS = [
  '../',
  '..%2f',
  '..%2F',
  '%2e%2e/',
  '%2E%2E%2F',
  '.%2e/',
  '%2e./',
  '%252e%252e/',
  '%252e%252e%252f',
  '..%252f',
  '%25252e%25252e%25252f',
  '..\\',
  '..%5c',
  '..%5C',
  '..%255c',
  '%2e%2e%5c',
  '%c0%ae%c0%ae/',
  '%c0%ae%c0%ae%c0%af',
  '..%c0%af',
  '..%c1%9c',
  '%e0%80%ae%e0%80%ae%e0%80%af',
  '%f0%80%80%ae%f0%80%80%ae/',
  '..%u2215',
  '%u002e%u002e%u002f',
  '..%ef%bc%8f',
  '%ef%bc%8e%ef%bc%8e/',
  '\uff0e\uff0e/',
  '\u2024\u2024/',
  '\u2025/',
  '..\u2215',
  '..;/',
  '..%3b/',
  '..%00/',
  '%00../',
  '..%0d%0a/',
  '..%20/',
  '..%09/',
  '.../',
  '....//',
  '..././',
  './../',
  '//../',
  '/..//',
  '..%2e/',
  '%2e/%2e%2e/',
  '.%00./',
  '..\u0000/',
  '\u200b../',
  '..\u200b/'
]

const GOALS = ['secret.txt', 'public-old/secret.txt', 'public.txt', 'outside/secret.txt', 'etc/passwd', 'public/.env']

/** Paths that try to leave the root, or to reach what is refused in it; no two equal. */
export const traversals = (base: string): readonly string[] => {
  const paths = new Set<string>()
  for (const up of UPS) {
    for (const depth of [1, 2, 6]) for (const goal of GOALS) paths.add(`/${up.repeat(depth)}${goal}`)
    paths.add(`/docs/${up.repeat(2)}secret.txt`)
    paths.add(`/a.txt/${up.repeat(2)}secret.txt`)
    paths.add(`/missing/${up.repeat(2)}secret.txt`)
    paths.add(`/link/${up}secret.txt`)
    paths.add(`/${up}`)
    paths.add(`/${up}${base.split('/').at(-1)}/secret.txt`)
  }
  for (const secret of [
    '/link.txt',
    '/link/secret.txt',
    '/sibling/secret.txt',
    '/.env',
    '/.git/config',
    '/con',
    '/CON',
    '/a:b',
    '/con.txt',
    '/nul',
    '/aux.html'
  ])
    paths.add(secret)
  for (const absolute of [`${base}/secret.txt`, '/etc/passwd', '/proc/self/environ']) {
    paths.add(absolute)
    paths.add(`/${absolute}`)
    paths.add(absolute.replaceAll('/', '%2f'))
    paths.add(`/${absolute.replaceAll('/', '%2f')}`)
    paths.add(`/${absolute.replaceAll('/', '%5c')}`)
    paths.add(`/${absolute.replaceAll('/', '\\')}`)
    paths.add(`/file://${absolute}`)
    paths.add(`/file:%2f%2f${absolute}`)
  }
  for (const drive of ['C:', 'c:', 'C%3a', '\\\\?\\C:', '%5c%5c.%5cC:'])
    for (const slash of ['/', '\\', '%5c', '%2f']) paths.add(`/${drive}${slash}secret.txt`)
  for (const unc of ['\\\\localhost\\share', '%5c%5clocalhost%5cshare', '//localhost/share', '%2f%2flocalhost%2fshare'])
    paths.add(`/${unc}/secret.txt`)
  for (const tail of ['.', ' ', '%20', '%2e', '::$DATA', '%00', '%00.txt', '%0a', '/', '/.', '~', ':stream']) {
    paths.add(`/.env${tail}`)
    paths.add(`/link.txt${tail}`)
    paths.add(`/con${tail}`)
  }
  for (const hidden of [
    '/.ENV',
    '/%2eenv',
    '/%2e%67it/config',
    '/docs/%2e%2e/.env',
    '/./.env',
    '//.env',
    '/GIT~1/config',
    '/.g\u200cit/config',
    '/%e2%80%8c.env'
  ])
    paths.add(hidden)
  return [...paths]
}
