// Every place where a transport says who a peer is. Nothing that a peer merely claims may become `server.User` or `ssl.ClientCertificate`.
import { execFileSync } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { App, type Context, type Transport } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { type HttpOptions, http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { websocket } from '@iopa/mqtt/websocket'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let folder = ''
const pem = (name: string, kind: 'key' | 'cert'): Buffer => readFileSync(join(folder, `${name}.${kind}`))
const pair = (name: string): { key: Buffer; cert: Buffer } => ({ key: pem(name, 'key'), cert: pem(name, 'cert') })

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'iopa-identities-'))
  for (const name of ['server', 'ann', 'rogue']) {
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${name}`]
    execFileSync('openssl', [...request, '-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.cert`)], { stdio: 'pipe' })
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

interface Seen {
  readonly user: string | undefined
  readonly certificate: string | undefined
}
const NOBODY: Seen = { user: undefined, certificate: undefined }

/** An app without authentication that notes what every context says of its peer. */
const serve = async (transport: Transport) => {
  const seen: Seen[] = []
  const note = (context: Context): void => {
    // It comes when the connection has ended.
    if (context.method === 'DISCONNECT') return
    const certificate = context['ssl.ClientCertificate'] as { subject: { CN: string } } | undefined
    seen.push({ user: context.user?.id, certificate: certificate?.subject.CN })
  }
  const app = new App({ logger: false })
    .use((context, next) => {
      note(context)
      return next()
    })
    .use(() => 'seen')
    .use(transport)
  const [listener] = await app.listen()
  const { port } = listener!.url
  return { seen, listener: listener!, port: Number(port), [Symbol.asyncDispose]: () => app.close({ timeout: 0 }) }
}

/** Sends bytes on a connection, and resolves with what comes back until the peer has been heard, or the connection ends. */
const exchange = async (socket: net.Socket, bytes: string | Buffer): Promise<string> => {
  socket.on('error', () => undefined)
  socket.write(bytes)
  let text = ''
  await new Promise<void>(resolve => {
    const end = (): void => {
      clearTimeout(guard)
      resolve()
    }
    const guard = setTimeout(end, 3000)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      end()
    })
    socket.once('close', end)
  })
  socket.destroy()
  return text
}

const secure = (port: number, options: tls.ConnectionOptions = {}): tls.TLSSocket =>
  tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
const asks = (host: string, headers = ''): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n${headers}Connection: close\r\n\r\n`
const bag = (extra: object): string => `${JSON.stringify({ 'iopa.Method': 'GET', 'iopa.Path': '/', ...extra })}\n`

const field = (text: string): Buffer => Buffer.concat([Buffer.from([text.length >> 8, text.length & 255]), Buffer.from(text)])
/** CONNECT of MQTT 3.1.1 with user name and password. */
const connectPacket = (user: string, password: string): Buffer => {
  const body = Buffer.concat([field('MQTT'), Buffer.from([4, 0xc2, 0, 60]), field('client'), field(user), field(password)])
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}

const CLAIMS = [
  { 'server.User': { id: 'admin' } },
  { 'ssl.ClientCertificate': { subject: { CN: 'admin' } } },
  { 'server.RemoteAddress': '127.0.0.1' },
  { 'server.TLS': true },
  { 'server.IsLocalOrigin': true },
  { 'server.IsReplica': true },
  { 'mqtt.ClientId': 'admin' },
  { user: { id: 'admin' } }
]

describe('an unproved identity', () => {
  test('cannot be set by keys in the bag of a TCP peer', async () => {
    await using server = await serve(tcp({ port: 0 }))
    for (const claim of CLAIMS) expect(await exchange(net.connect(server.port, '127.0.0.1'), bag(claim))).toContain('"iopa.StatusCode":400')
    expect(server.seen).toEqual([])
    expect(await exchange(net.connect(server.port, '127.0.0.1'), bag({ 'iopa.Headers': { 'server.user': 'admin' } }))).toContain('seen')
    expect(server.seen).toEqual([NOBODY])
  })

  test('cannot be set by keys in the bag of a UDP peer', async () => {
    await using server = await serve(udp({ port: 0 }))
    const socket = dgram.createSocket('udp4')
    for (const claim of CLAIMS) {
      socket.send(bag(claim), server.port, '127.0.0.1')
      const [answer] = (await once(socket, 'message')) as [Buffer]
      expect(String(answer)).toContain('"iopa.StatusCode":400')
    }
    socket.close()
    expect(server.seen).toEqual([])
  })

  test('cannot be set by headers of HTTP', async () => {
    await using server = await serve(http({ port: 0 }))
    const headers = `Authorization: Basic ${Buffer.from('admin:x').toString('base64')}\r\nserver.User: admin\r\nX-Forwarded-User: admin\r\n`
    expect(await exchange(net.connect(server.port, '127.0.0.1'), asks('localhost', headers))).toContain('200')
    expect(server.seen).toEqual([NOBODY])
  })

  test('cannot be set by user name and password of MQTT without authentication middleware', async () => {
    await using server = await serve(mqtt({ port: 0, statistics: false }))
    const publish = Buffer.concat([Buffer.from([0x30, 4]), field('t'), Buffer.from('x')])
    const text = await exchange(net.connect(server.port, '127.0.0.1'), Buffer.concat([connectPacket('admin', 'guess'), publish]))
    expect(text).toMatch(/^ \x02/)
    expect(server.seen.length).toBeGreaterThan(0)
    for (const seen of server.seen) expect(seen).toEqual(NOBODY)
  })

  test('cannot be set by options of CoAP', async () => {
    await using server = await serve(coap({ port: 0 }))
    const socket = dgram.createSocket('udp4')
    const query = Buffer.from('server.User=admin')
    socket.send(Buffer.concat([Buffer.from([0x40, 1, 0, 1, 0xdd, 15 - 13, query.length - 13]), query]), server.port, '127.0.0.1')
    await once(socket, 'message')
    socket.close()
    expect(server.seen).toEqual([NOBODY])
  })
})

const coapGet = Buffer.from([0x00, 0xe1, 0x00, 0x01])
const SECURED = {
  'http over TLS': [(options: object) => http({ port: 0, tls: options } as HttpOptions), asks('localhost')],
  'tcp over TLS': [(options: object) => tcp({ port: 0, tls: options }), bag({})],
  'coap over TLS': [(options: object) => coap({ port: 0, udp: false, tls: options }), coapGet],
  'mqtt over TLS': [(options: object) => mqtt({ port: 0, tls: options, statistics: false }), connectPacket('ann', 'x')]
} as const

describe.each(Object.entries(SECURED))('%s', (_, [transport, request]) => {
  const trusting = (): object => ({ ...pair('server'), ca: pem('ann', 'cert'), requestCert: true })

  test('passes on a client certificate signed by its authority, and refuses any other', async () => {
    await using server = await serve(transport(trusting()))
    await exchange(secure(server.port, pair('ann')), request)
    expect(server.seen.length).toBeGreaterThan(0)
    for (const seen of server.seen) expect(seen).toEqual({ user: undefined, certificate: 'ann' })
    const before = server.seen.length
    await exchange(secure(server.port, pair('rogue')), request)
    await exchange(secure(server.port), request)
    expect(server.seen.length).toBe(before)
  })

  test('passes on no certificate that it has not requested', async () => {
    await using server = await serve(transport(pair('server')))
    await exchange(secure(server.port, pair('rogue')), request)
    expect(server.seen.length).toBeGreaterThan(0)
    for (const seen of server.seen) expect(seen).toEqual(NOBODY)
  })

  test('does not resume sessions after its authority was replaced, and keeps the authority if reload omits it', async () => {
    await using server = await serve(transport(trusting()))
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      server.listener.reload!({ ...pair('server'), ca: pem('ann', 'cert') })
      const socket = secure(server.port, { ...pair('ann'), maxVersion })
      socket.write(request)
      const [session] = (await once(socket, 'session')) as [Buffer]
      socket.destroy()
      server.listener.reload!({ ...pair('server') })
      const kept = server.seen.length
      await exchange(secure(server.port, { ...pair('ann'), maxVersion }), request)
      expect(server.seen.length).toBeGreaterThan(kept)
      server.listener.reload!({ ...pair('server'), ca: pem('rogue', 'cert') })
      const before = server.seen.length
      await exchange(secure(server.port, { ...pair('ann'), maxVersion, session }), request)
      expect(server.seen.length).toBe(before)
    }
  })
})

const UPGRADE = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n`

describe('intermediaries', () => {
  test('do not pass their own certificate as that of the client', async () => {
    const options = { ...pair('server'), ca: pem('ann', 'cert'), requestCert: true }
    await using server = await serve(http({ port: 0, tls: options, trustProxy: ['loopback'], hosts: ['*'] }))
    await exchange(secure(server.port, pair('ann')), asks('localhost', 'X-Forwarded-For: 203.0.113.7\r\n'))
    expect(server.seen).toEqual([NOBODY])
  })

  test('a WebSocket server that accepts any certificate passes on none that was not checked', async () => {
    const options = { ...pair('server'), ca: pem('ann', 'cert'), requestCert: true, rejectUnauthorized: false }
    const joined = https.createServer(options).listen(0, '127.0.0.1')
    await once(joined, 'listening')
    const { port } = joined.address() as net.AddressInfo
    {
      await using server = await serve(mqtt({ port: 0, statistics: false, websocket: websocket({ server: joined }) }))
      const connect = async (name: string): Promise<Seen | undefined> => {
        const socket = secure(port, pair(name))
        socket.write(`GET /mqtt HTTP/1.1\r\nHost: localhost\r\n${UPGRADE}\r\n`)
        expect(String((await once(socket, 'data'))[0])).toContain(' 101 ')
        const packet = connectPacket('ann', 'x')
        // A binary frame, with a mask of zeros (RFC 6455 section 5.2).
        await exchange(socket, Buffer.concat([Buffer.from([0x82, 0x80 | packet.length, 0, 0, 0, 0]), packet]))
        return server.seen.at(-1)
      }
      expect(await connect('rogue')).toEqual(NOBODY)
      expect(await connect('ann')).toEqual({ user: undefined, certificate: 'ann' })
    }
    joined.close()
  })
})
