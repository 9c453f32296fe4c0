import { once } from 'node:events'
import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import { App } from '@iopa/appbuilder'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { channelStream } from '@iopa/transport/node'
import { describe, expect, test } from 'vitest'
import { http } from '../src/index.ts'
import { identities } from './certificates.ts'
import { ask, session } from './http2-client.ts'
import { DATA, END_HEADERS, END_STREAM, FramePeer, frame, get, HEADERS, RST_STREAM, SETTINGS } from './http2-frames.ts'
import { eventually, gate, Peer, parse, serve } from './support.ts'

const tls = identities('server').of['server'] as { key: string; cert: string }

describe('HTTP/2', () => {
  test('requests run concurrently on one connection, as requests of HTTP/2', async () => {
    const both = gate()
    let running = 0
    const { app, origin } = await serve(
      async context => {
        if (++running === 2) both.open()
        await both.promise
        return [context['iopa.Protocol'], context.host, context.scheme, context.headers.get('host')]
      },
      { tls }
    )
    const client = session(origin)
    const answers = await Promise.all([ask(client, { ':path': '/a' }), ask(client, { ':path': '/b' })])
    for (const { status, body } of answers) {
      expect(status).toBe(200)
      expect(JSON.parse(body)).toEqual(['HTTP/2', '127.0.0.1', 'https', new URL(origin).host])
    }
    expect(app.counters()['http']).toMatchObject({ connections: 1 })
  })

  test('announces its limits', async () => {
    const { origin } = await serve(() => 'x', { tls })
    const client = session(origin)
    const [settings] = (await once(client, 'remoteSettings')) as [http2.Settings]
    expect(settings).toMatchObject({ maxConcurrentStreams: 100, enablePush: false, maxHeaderListSize: 16_384, enableConnectProtocol: false })
  })

  test('is left out with http2: false, and streams says how many may be open', async () => {
    const { origin } = await serve(() => 'x', { tls, http2: false })
    const [error] = (await once(session(origin), 'error')) as [Error]
    expect(error).toBeInstanceOf(Error)
    const { origin: few } = await serve(() => 'x', { tls, http2: { streams: 7 } })
    const [settings] = (await once(session(few), 'remoteSettings')) as [http2.Settings]
    expect(settings.maxConcurrentStreams).toBe(7)
    expect(() => http({ http2: { streams: 0 } })).toThrow(/integer from 1/)
  })

  test('without TLS serves clients that begin with it beside those of HTTP/1.1', async () => {
    const { origin, port } = await serve(context => context['iopa.Protocol'], { http2: true })
    expect((await ask(session(origin), { ':path': '/' })).body).toBe('HTTP/2')
    // Its first bytes come one by one.
    const peer = new Peer(port)
    for (const byte of 'PR / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n') peer.send(byte)
    expect(parse(await peer.untilEnd()).body).toBe('HTTP/1.1')
    expect((await new Peer(port).send('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n').untilEnd()).slice(0, 12)).toBe('HTTP/1.1 505')
  })

  test('runs on any network', async () => {
    const clock = virtualClock()
    const network = virtualNetwork({ clock })
    const app = new App({ logger: false, clock }).use(http({ port: 80, http2: true, network, clock })).use(context => context['iopa.Protocol'])
    await app.listen()
    const channel = await clock.runUntil(network.connect({ host: '127.0.0.1', port: 80 }))
    const client = session('http://localhost', { createConnection: () => channelStream(channel) as Duplex })
    expect((await clock.runUntil(ask(client, { ':path': '/' }))).body).toBe('HTTP/2')
    client.destroy()
    await clock.runUntil(app.close({ timeout: 1000 }))
    expect(app.live).toBe(0)
  })

  test('bodies come whole, in pieces, and not beyond the limit', async () => {
    const { origin } = await serve(
      async context => {
        if (context.path === '/whole') return String((await context.bytes()).length)
        let bytes = 0
        for await (const chunk of context.body ?? []) bytes += chunk.length
        return String(bytes)
      },
      { tls, limits: { body: 300_000 } }
    )
    const client = session(origin)
    for (const path of ['/whole', '/pieces']) {
      expect((await ask(client, { ':method': 'PUT', ':path': path }, Buffer.alloc(250_000))).body).toBe('250000')
      const tooLong = await ask(client, { ':method': 'PUT', ':path': path }, Buffer.alloc(400_000))
      expect({ status: tooLong.status, ...JSON.parse(tooLong.body) }).toMatchObject({ status: 413, code: 'body-too-large' })
      expect((await ask(client, { ':method': 'PUT', ':path': path, 'content-length': 400_000 }, Buffer.alloc(400_000))).status).toBe(413)
    }
  })

  test('a body is asked for with 100 Continue when the handler reads it', async () => {
    const { origin } = await serve(context => (context.path === '/read' ? context.text() : 'unread'), { tls })
    const client = session(origin)
    const stream = client.request({ ':method': 'PUT', ':path': '/read', expect: '100-continue' })
    await once(stream, 'continue')
    stream.end('late')
    let body = ''
    for await (const chunk of stream) body += chunk
    expect(body).toBe('late')
    const unread = client.request({ ':method': 'PUT', ':path': '/other', expect: '100-continue' })
    let continued = false
    unread.on('continue', () => {
      continued = true
    })
    const [headers] = (await once(unread, 'response')) as [http2.IncomingHttpHeaders]
    expect([headers[':status'], continued]).toEqual([200, false])
    expect((await ask(client, { ':method': 'PUT', ':path': '/', expect: 'other' }, 'x')).status).toBe(417)
  })

  test('an upload that the answer does not wait for is stopped', async () => {
    const { origin } = await serve(() => 'early', { tls })
    const stream = session(origin).request({ ':method': 'PUT', ':path': '/' })
    stream.on('error', () => undefined)
    stream.write(Buffer.alloc(10))
    stream.resume()
    await once(stream, 'close')
    expect(stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR)
  })

  test('HEAD, 204 and 304 have no body, and long bodies come whole', async () => {
    const { origin } = await serve(
      ({ path, response }) => {
        if (path === '/304') {
          response.status = 304
          return
        }
        if (path === '/204') {
          response.status = 204
          return
        }
        if (path === '/stream')
          return (async function* () {
            for (let part = 0; part < 10; part++) yield new Uint8Array(50_000).fill(65)
          })()
        return path === '/text' ? 'é'.repeat(200_000) : new Uint8Array(1_000_000).fill(65)
      },
      { tls }
    )
    const client = session(origin)
    expect((await ask(client, { ':path': '/304' })).status).toBe(304)
    expect(await ask(client, { ':path': '/204' })).toMatchObject({ status: 204, body: '' })
    expect(await ask(client, { ':method': 'HEAD', ':path': '/bytes' })).toMatchObject({ body: '', headers: { 'content-length': '1000000' } })
    expect((await ask(client, { ':path': '/bytes' })).body.length).toBe(1_000_000)
    expect((await ask(client, { ':path': '/text' })).body).toBe('é'.repeat(200_000))
    expect((await ask(client, { ':path': '/stream' })).body.length).toBe(500_000)
  })

  test('a stream that fails is reset and never ended, and one that has not begun becomes 500', async () => {
    const { origin, port, errors } = await serve(
      ({ path }) =>
        (async function* () {
          if (path === '/late') yield Buffer.from('part')
          throw new Error('broken')
        })(),
      { tls }
    )
    const peer = new FramePeer(port)
    await peer.until(SETTINGS)
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, get('/late')))
    expect((await peer.until(RST_STREAM, 1)).payload.readUInt32BE()).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR)
    const data = peer.frames.filter(({ type, stream }) => type === DATA && stream === 1)
    expect(data.map(({ flags, payload }) => [flags & END_STREAM, payload.toString()])).toEqual([[0, 'part']])
    expect((await ask(session(origin), { ':path': '/early' })).status).toBe(500)
    expect(errors.length).toBe(2)
  })

  test('fields of the connection are left out of answers, and set-cookie comes as often as it is set', async () => {
    const { origin } = await serve(
      ({ response }) => {
        for (const [name, value] of [
          ['connection', 'close'],
          ['keep-alive', '5'],
          ['set-cookie', 'a=1'],
          ['x-other', '1']
        ])
          response.headers.append(name as string, value as string)
        response.headers.append('set-cookie', 'b=2')
        return 'x'
      },
      { tls }
    )
    const { status, headers } = await ask(session(origin), { ':path': '/' })
    expect(status).toBe(200)
    expect(headers['set-cookie']).toEqual(['a=1', 'b=2'])
    expect(headers).not.toHaveProperty('connection')
    expect(headers).not.toHaveProperty('keep-alive')
    expect(headers).toHaveProperty('date')
  })

  test('the crumbs of a cookie are joined', async () => {
    const { origin } = await serve(context => context.headers.get('cookie'), { tls })
    expect((await ask(session(origin), { ':path': '/', cookie: ['a=1', 'b=2', 'c=3'] })).body).toBe('a=1; b=2; c=3')
  })

  test.each([
    ['another host', { ':authority': 'evil.example' }, 421, 'unknown-host'],
    ['two hosts', { ':authority': 'localhost', host: 'evil.example' }, 400, 'other-host'],
    ['a control method', { ':method': 'SUBSCRIBE' }, 400, 'control-method'],
    ['a method in small letters', { ':method': 'get' }, 400, 'malformed-request'],
    ['a path that is not canonical', { ':path': '/a/%2e%2e/b' }, 400, undefined],
    ['another scheme', { ':scheme': 'ftp' }, 400, 'malformed-request'],
    ['too many fields', Object.fromEntries(Array.from({ length: 120 }, (_, at) => [`x-${at}`, 'y'])), 431, 'too-many-headers']
  ])('refuses %s, and a log hears of it', async (_, headers, status, code) => {
    const { app, origin } = await serve(() => 'served', { tls })
    const refusals: unknown[] = []
    app.host('log').shared('iopa.activity', () => ({ listen: () => undefined }) as never)
    const feed = app.host('log').shared('iopa.activity', () => null as never) as { listen(listener: (activity: { kind: string }) => void): void }
    feed.listen(activity => activity.kind === 'refused' && refusals.push(activity))
    const answer = await ask(session(origin), { ':path': '/', ':authority': 'localhost', ...headers })
    expect(answer.status).toBe(status)
    const problem = JSON.parse(answer.body) as { code: string }
    if (code !== undefined) expect(problem.code).toBe(code)
    expect(refusals).toMatchObject([{ transport: 'http', status, code: problem.code, address: '127.0.0.1' }])
  })

  test('a proxy that is trusted names client, scheme and host', async () => {
    const { origin } = await serve(context => [context.remoteAddress, context.scheme, context.host], { tls, trustProxy: ['loopback'], hosts: ['*'] })
    const forwarded = { 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'lights.example' }
    expect(JSON.parse((await ask(session(origin), { ':path': '/', ...forwarded })).body)).toEqual(['192.0.2.7', 'http', 'lights.example'])
  })

  test('a client that resets its request ends its context with disconnect', async () => {
    const reasons: unknown[] = []
    const begun = gate()
    const { app, origin } = await serve(
      async context => {
        context.signal.addEventListener('abort', () => reasons.push(context.signal.reason))
        begun.open()
        await new Promise(resolve => context.signal.addEventListener('abort', resolve))
      },
      { tls }
    )
    const stream = session(origin).request({ ':path': '/' })
    stream.on('error', () => undefined)
    await begun.promise
    expect(app.counters()['http']?.inFlight).toBe(1)
    stream.close(http2.constants.NGHTTP2_CANCEL)
    await eventually('the context ends', () => reasons.length === 1)
    expect(reasons[0]).toMatchObject({ message: 'The peer has gone.' })
    await eventually('nothing is in work', () => app.counters()['http']?.inFlight === 0)
  })

  test('a stream waits for a client that does not read', async () => {
    let made = 0
    const { origin } = await serve(
      () =>
        (async function* () {
          for (; made < 1000; made++) yield new Uint8Array(16_384)
        })(),
      { tls }
    )
    const stream = session(origin).request({ ':path': '/' })
    await once(stream, 'response')
    await new Promise(resolve => setTimeout(resolve, 100))
    expect(made).toBeLessThan(100)
    let bytes = 0
    for await (const chunk of stream) bytes += (chunk as Buffer).length
    expect(bytes).toBe(16_384_000)
  })

  test('requests beyond the limit of a connection wait', async () => {
    let running = 0
    let most = 0
    const open = gate()
    const { origin } = await serve(
      async () => {
        most = Math.max(most, ++running)
        await open.promise
        running--
        return 'x'
      },
      { tls, limits: { inFlightPerConnection: 3 } }
    )
    const client = session(origin)
    const answers = Array.from({ length: 10 }, () => ask(client, { ':path': '/' }))
    await eventually('three run', () => running === 3)
    open.open()
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200)
    expect(most).toBe(3)
  })

  test('closing lets requests finish, refuses new ones, and ends observers', async () => {
    const begun = gate()
    const open = gate()
    const { app, origin } = await serve(
      async context => {
        if (context['iopa.Observe']) return 'state'
        begun.open()
        await open.promise
        return 'finished'
      },
      { tls }
    )
    const client = session(origin)
    let goaway = false
    client.on('goaway', () => {
      goaway = true
    })
    const observer = ask(client, { ':path': '/', accept: 'text/event-stream' })
    const answer = ask(client, { ':path': '/slow' })
    await begun.promise
    await eventually('it observes', () => app.counters()['http']?.observers === 1)
    const closed = app.close({ timeout: 5000 })
    expect((await observer).body).toContain('data: state')
    await eventually('the client hears of it', () => goaway)
    open.open()
    expect((await answer).body).toBe('finished')
    await closed
    await eventually('the session has ended', () => client.destroyed)
  })

  test('twenty observers on one connection hear each change', async () => {
    let n = 0
    const { app, origin } = await serve(() => ({ n }), { tls })
    const client = session(origin)
    const heard = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const stream = client.request({ ':path': '/n', accept: 'text/event-stream' })
        const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
        expect(headers).toMatchObject({ ':status': 200, 'content-type': 'text/event-stream' })
        expect(headers).not.toHaveProperty('connection')
        const one = { text: '' }
        stream.setEncoding('utf8').on('data', (text: string) => {
          one.text += text
        })
        return one
      })
    )
    n = 7
    app.notify('/n')
    await eventually('all have heard', () => heard.every(({ text }) => text.includes('data: {"n":7}')))
    client.destroy()
    await eventually('none observes', () => app.counters()['http']?.observers === 0)
  })
})
