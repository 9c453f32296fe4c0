import net from 'node:net'
import { App, type Context, type ReceivedAnswer } from '@iopa/appbuilder'
import type { LinkAnswer } from '@iopa/transport'
import { type ByteNetwork, type Client, type ConnectOptions, connect } from '@iopa/transport'
import { socketNetwork } from '@iopa/transport/node'
import { describe, expect, test } from 'vitest'
import { tcp } from '../src/index.ts'
import { atEnd, eventually, serve } from './support.ts'

const later = (ms: number, value?: unknown): Promise<unknown> => new Promise(resolve => setTimeout(() => resolve(value), ms))

const open = async (port: number, options: ConnectOptions = {}, own: Parameters<typeof tcp>[0] = {}): Promise<Client> => {
  const channel = await connect(tcp(own), new URL(`tcp://127.0.0.1:${port}`), options)
  atEnd(() => channel.close())
  return channel
}

/** A server of the test's own, for what ours never does. */
const fake = async (connected: (socket: net.Socket) => void): Promise<{ port: number; server: net.Server }> => {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    connected(socket)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as net.AddressInfo).port, server }
}

const state = async (): Promise<{ port: number; app: App; set(level: number): Promise<void> }> => {
  let level = 0
  const { port, app } = await serve(async ({ method, path }: Context) => {
    if (path !== '/level') return undefined
    if (method === 'PUT') {
      level++
      return undefined
    }
    return { level }
  })
  return {
    port,
    app,
    set: async value => {
      level = value - 1
      await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/level' })
    }
  }
}

describe('a client', () => {
  test('resolves requests with their answers, whatever the status', async () => {
    const { port } = await serve(async context => {
      if (context.path === '/missing') return undefined
      context.response.headers.set('etag', '"1"')
      return {
        method: context.method,
        query: context['iopa.QueryString'],
        accept: context.headers.get('accept'),
        type: context.type,
        body: await context.text()
      }
    })
    const channel = await open(port)
    const answer = await channel.send({
      'iopa.Method': 'PUT',
      'iopa.Path': '/a',
      'iopa.QueryString': 'b=1',
      'iopa.Headers': { accept: 'text/plain' },
      'iopa.Body': { on: true }
    })
    expect(answer).toMatchObject({ status: 200, type: 'application/json' })
    expect(answer.headers.get('ETag')).toBe('"1"')
    expect(await answer.json()).toEqual({ method: 'PUT', query: 'b=1', accept: 'text/plain', type: 'application/json', body: '{"on":true}' })
    expect((await channel.send({ 'iopa.Path': '/missing' })).status).toBe(404)
  })

  test('sends text, bytes and streams', async () => {
    const { port } = await serve(async context => ({ type: context.type, bytes: [...(await context.bytes())] }))
    const channel = await open(port)
    const echo = async (body: unknown): Promise<unknown> => (await channel.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/', 'iopa.Body': body })).json()
    expect(await echo('h\u00e9')).toEqual({ type: 'text/plain; charset=utf-8', bytes: [104, 195, 169] })
    expect(await echo(Uint8Array.of(0, 255))).toEqual({ type: 'application/octet-stream', bytes: [0, 255] })
    expect(
      await echo(
        (async function* () {
          yield Uint8Array.of(1)
          yield Uint8Array.of(2)
        })()
      )
    ).toEqual({ type: 'application/octet-stream', bytes: [1, 2] })
  })

  test('pipelines many requests on one connection', async () => {
    let release = (_: string): void => undefined
    const { port, app } = await serve(context => {
      if (context.path !== '/slow') return context.path
      return new Promise<string>(resolve => {
        release = resolve
      })
    })
    const channel = await open(port)
    const slow = channel.send({ 'iopa.Path': '/slow' })
    const texts = await Promise.all(Array.from({ length: 500 }, async (_, i) => (await channel.send({ 'iopa.Path': `/${i}` })).text()))
    expect(texts).toEqual(Array.from({ length: 500 }, (_, i) => `/${i}`))
    expect(app.live).toBe(2)
    release('slow')
    expect(await (await slow).text()).toBe('slow')
  })

  test('refuses requests over its limit', async () => {
    const { port } = await serve(() => later(20, 'x'))
    const channel = await open(port, { limits: { inFlight: 10 } })
    const results = await Promise.allSettled(Array.from({ length: 12 }, () => channel.send({ 'iopa.Path': '/' })))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
    expect((results.at(-1) as PromiseRejectedResult).reason).toMatchObject({ status: 503, code: 'overloaded' })
  })

  test('rejects after the timeout, and ignores the late answer', async () => {
    const { port } = await serve(context => (context.path === '/slow' ? later(150, 'slow') : context.path))
    const channel = await open(port, { timeout: 50 })
    await expect(channel.send({ 'iopa.Path': '/slow' })).rejects.toMatchObject({ status: 504, code: 'timeout' })
    await later(150)
    expect(await (await channel.send({ 'iopa.Path': '/fast' })).text()).toBe('/fast')
  })

  test('rejects with the reason of its signal', async () => {
    const { port } = await serve(() => later(1000, 'x'))
    const channel = await open(port)
    const abort = new AbortController()
    const sent = channel.send({ 'iopa.Path': '/', 'iopa.CallCancelled': abort.signal })
    setTimeout(() => abort.abort(new Error('enough')), 10)
    await expect(sent).rejects.toThrow('enough')
    await expect(channel.send({ 'iopa.Path': '/', 'iopa.CallCancelled': abort.signal })).rejects.toThrow('enough')
  })

  test('rejects pending requests when the peer leaves, and reconnects for the next', async () => {
    let count = 0
    const { port } = await fake(socket => {
      count++
      if (count === 1) socket.once('data', () => socket.destroy())
      else socket.on('data', () => socket.write('{"iopa.StatusCode":200,"iopa.Seq":1}\n'))
    })
    const channel = await open(port)
    const results = await Promise.allSettled([channel.send({ 'iopa.Path': '/' }), channel.send({ 'iopa.Path': '/' })])
    for (const result of results) expect((result as PromiseRejectedResult).reason).toMatchObject({ status: 502, code: 'disconnected' })
    expect((await channel.send({ 'iopa.Path': '/' })).status).toBe(200)
    expect(count).toBe(2)
  })

  test('rejects pending requests with the reason that the peer gave for closing', async () => {
    const { port } = await fake(socket => {
      socket.end(
        '{"iopa.StatusCode":503,"iopa.ContentType":"application/problem+json","iopa.Body":{"code":"too-many-connections","detail":"full"}}\n'
      )
    })
    const channel = await open(port)
    await expect(channel.send({ 'iopa.Path': '/' })).rejects.toMatchObject({
      status: 503,
      code: expect.stringMatching(/too-many-connections|disconnected/)
    })
  })

  test('rejects when the peer sends an invalid answer', async () => {
    for (const line of ['HTTP/1.1 400 Bad Request\r\n', '{"iopa.StatusCode":"200","iopa.Seq":1}\n', `${'x'.repeat(3000)}`]) {
      const { port } = await fake(socket => socket.once('data', () => socket.write(line)))
      const channel = await open(port, { limits: { body: 10, queueBytes: 1000 } })
      if (line.startsWith('x')) continue
      await expect(channel.send({ 'iopa.Path': '/' })).rejects.toMatchObject({ status: 502, code: 'bad-answer' })
    }
  })

  test('rejects only the request whose answer cannot be read; others and an observation continue', async () => {
    const { port, server } = await fake(socket =>
      socket.on('data', data => {
        for (const line of String(data).trim().split('\n')) {
          const { 'iopa.Seq': seq, 'iopa.Path': path } = JSON.parse(line)
          const bad: Record<string, string> = {
            '/status': `{"iopa.StatusCode":"200","iopa.Seq":${seq}}`,
            '/type': `{"iopa.StatusCode":200,"iopa.ContentType":"json","iopa.Body":1,"iopa.Seq":${seq}}`,
            '/headers': `{"iopa.StatusCode":200,"iopa.Headers":{"a":"b\\nc"},"iopa.Seq":${seq}}`,
            '/many': `{"iopa.StatusCode":200,"iopa.Headers":{"a":[${Array(200).fill('"b"')}]},"iopa.Seq":${seq}}`,
            '/json': `{"iopa.StatusCode":200,"iopa.Body":{"a":},"iopa.Seq":${seq}}`,
            '/nobody': '{"iopa.StatusCode":"200"}'
          }
          socket.write(`${bad[path] ?? `{"iopa.StatusCode":200,"iopa.Body":"${path}","iopa.ContentType":"text/plain","iopa.Seq":${seq}}`}\n`)
        }
      })
    )
    let connections = 0
    server.on('connection', () => connections++)
    const channel = await open(port)
    const observed = channel.observe({ 'iopa.Path': '/observed' })[Symbol.asyncIterator]()
    expect(await (await observed.next()).value.text()).toBe('/observed')
    const broken = channel.observe({ 'iopa.Path': '/type' })[Symbol.asyncIterator]().next()
    await expect(broken).rejects.toMatchObject({ status: 502, code: 'bad-answer' })
    const paths = ['/status', '/good', '/type', '/headers', '/many', '/also-good', '/json']
    const results = await Promise.allSettled(paths.map(path => channel.send({ 'iopa.Path': path })))
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'rejected', 'rejected', 'fulfilled', 'rejected'])
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ status: 502, code: 'bad-answer' })
    const stopping = new AbortController()
    const lost = channel.send({ 'iopa.Path': '/nobody', 'iopa.CallCancelled': stopping.signal })
    expect((await channel.send({ 'iopa.Path': '/good' })).status).toBe(200)
    stopping.abort(new Error('given up'))
    await expect(lost).rejects.toThrow('given up')
    expect(connections).toBe(1)
    await observed.return?.()
  })

  test('skips an answer that is too long, and rejects only its request', async () => {
    const { port } = await serve(async context => {
      await later(1)
      return context.path === '/large' ? 'x'.repeat(300_000) : context.path === '/edge' ? 'x'.repeat(65_000) : 'small'
    })
    const channel = await open(port, { limits: { body: 1000 } })
    const paths = ['/small', '/large', '/small', '/edge', '/large', '/small']
    const results = await Promise.allSettled(paths.map(path => channel.send({ 'iopa.Path': path })))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
    expect(results[1]).toMatchObject({ reason: { status: 502, code: 'received-too-large' } })
    expect((await channel.send({ 'iopa.Path': '/small' })).status).toBe(200)
  })

  test.each(['lines', 'lengthPrefixed'] as const)(
    'skips a message of %s that is longer than it reads, and rejects its request alone',
    async framing => {
      const { port } = await serve(async context => ((await context.text()) === 'large' ? 'x'.repeat(50_000) : 'small'), { framing })
      const channel = await open(port, { limits: { body: 1000 } }, { framing })
      const results = await Promise.allSettled(['small', 'large', 'small', 'large', 'small'].map(body => channel.send({ 'iopa.Body': body })))
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'])
      expect(results[1]).toMatchObject({ reason: { status: 502, code: 'received-too-large' } })
    }
  )

  test('ignores unexpected answers', async () => {
    const { port } = await fake(socket =>
      socket.on('data', () =>
        socket.write('{"iopa.StatusCode":200,"iopa.Seq":99}\n{"iopa.StatusCode":200,"iopa.Seq":"a"}\n{"iopa.StatusCode":201,"iopa.Seq":1}\n')
      )
    )
    const channel = await open(port)
    expect((await channel.send({ 'iopa.Path': '/' })).status).toBe(201)
  })

  test('rejects pending and later requests when it closes', async () => {
    const { port, app } = await serve(() => later(1000, 'x'))
    const channel = await open(port)
    const sent = channel.send({ 'iopa.Path': '/' })
    sent.catch(() => undefined)
    await eventually(() => app.live === 2)
    await channel.close()
    await expect(sent).rejects.toMatchObject({ code: 'closed' })
    await expect(channel.send({ 'iopa.Path': '/' })).rejects.toMatchObject({ code: 'closed' })
    await channel.close()
  })

  test('refuses an unreachable server, a URL without a port, an aborted signal, and TLS for tcp:', async () => {
    const { port, app } = await serve(() => 'x')
    await app.close()
    const url = new URL(`tcp://127.0.0.1:${port}`)
    await expect(connect(tcp(), url)).rejects.toMatchObject({ name: 'IopaError', code: 'connect-failed' })
    await expect(connect(tcp(), new URL('tcp://127.0.0.1'))).rejects.toMatchObject({ code: 'no-port' })
    await expect(connect(tcp(), url, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
    await expect(connect(tcp(), url, { tls: {} })).rejects.toMatchObject({ code: 'tls-scheme' })
  })

  test('stops connecting after the timeout', async () => {
    // A full backlog of a listener that never accepts would do; a network of the test's own is quicker.
    const never = {
      listen: () => Promise.reject(new Error('no')),
      connect: (_: unknown, signal?: AbortSignal) => new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    }
    await expect(connect(tcp({ network: never }), new URL('tcp://10.0.0.1:7000'), { timeout: 20 })).rejects.toMatchObject({
      status: 504,
      code: 'timeout'
    })
    const abort = new AbortController()
    setTimeout(() => abort.abort(new Error('enough')), 10)
    await expect(connect(tcp({ network: never }), new URL('tcp://10.0.0.1:7000'), { signal: abort.signal })).rejects.toThrow('enough')
  })

  test('waits for a peer that does not read, and loses nothing', async () => {
    const chunks: Buffer[] = []
    let reader: net.Socket | undefined
    const { port } = await fake(socket => {
      reader = socket
      socket.pause()
      socket.on('data', chunk => chunks.push(chunk))
    })
    const sockets: net.Socket[] = []
    const network = socketNetwork()
    const watched: ByteNetwork = {
      ...network,
      connect: async (...parameters) => {
        const channel = await network.connect(...parameters)
        sockets.push(channel.raw as net.Socket)
        return channel
      }
    }
    const channel = await open(port, { timeout: 3000 }, { network: watched })
    for (let i = 0; i < 200; i++) channel.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/', 'iopa.Body': 'x'.repeat(50_000) }).catch(() => undefined)
    await eventually(() => sockets[0]!.writableLength > 0)
    await later(20)
    // What waits is held as requests, not as bytes of the socket.
    expect(sockets[0]!.writableLength).toBeLessThan(200_000)
    reader!.resume()
    // The last line may come in parts.
    await eventually(() => chunks.reduce((sum, chunk) => sum + chunk.length, 0) > 200 * 50_000 && chunks.at(-1)?.at(-1) === 10)
    const lines = Buffer.concat(chunks).toString().trim().split('\n')
    expect(lines.map(line => JSON.parse(line)['iopa.Seq'])).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
  })
})

describe('observing through a client', () => {
  test('delivers the state and each change, and unsubscribes when the loop is left', async () => {
    const { port, app, set } = await state()
    const channel = await open(port)
    const levels: unknown[] = []
    for await (const answer of channel.observe({ 'iopa.Path': '/level' })) {
      levels.push(((await answer.json()) as { level: number }).level)
      if (levels.length === 3) break
      await set(levels.length * 10)
    }
    expect(levels).toEqual([0, 10, 20])
    await eventually(() => app.live === 1)
  })

  test('ends with its signal', async () => {
    const { port, app } = await state()
    const channel = await open(port)
    const abort = new AbortController()
    const seen: ReceivedAnswer[] = []
    for await (const answer of channel.observe({ 'iopa.Path': '/level', 'iopa.CallCancelled': abort.signal })) {
      seen.push(answer)
      setTimeout(() => abort.abort(), 10)
    }
    expect(seen).toHaveLength(1)
    await eventually(() => app.live === 1)
    for await (const _ of channel.observe({ 'iopa.Path': '/level', 'iopa.CallCancelled': abort.signal })) throw new Error('began')
  })

  test('ends when the client is closed', async () => {
    const { port } = await state()
    const channel = await open(port)
    for await (const _ of channel.observe({ 'iopa.Path': '/level' })) setTimeout(() => channel.close(), 10)
  })

  test('throws the answer for a path that cannot be observed', async () => {
    const { port } = await state()
    const channel = await open(port)
    await expect(channel.observe({ 'iopa.Path': '/nothing' })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      name: 'IopaError',
      status: 404
    })
  })

  test('throws the status that ends the observation', async () => {
    let there = true
    const { port, app } = await serve(() => (there ? 'x' : undefined))
    const channel = await open(port)
    const loop = channel.observe({ 'iopa.Path': '/a' })[Symbol.asyncIterator]()
    expect((await loop.next()).value.status).toBe(200)
    there = false
    app.notify('/a')
    await expect(loop.next()).rejects.toMatchObject({ status: 404 })
    expect((await loop.next()).done).toBe(true)
  })

  test('survives a lost connection', async () => {
    const { port, app, set } = await state()
    const sockets: net.Socket[] = []
    const proxy = await fake(socket => {
      const inner = net.connect(port, '127.0.0.1')
      inner.on('error', () => undefined)
      sockets.push(socket, inner)
      socket.pipe(inner).pipe(socket)
    })
    const channel = await open(proxy.port)
    const loop = channel.observe({ 'iopa.Path': '/level' })[Symbol.asyncIterator]()
    expect(await (await loop.next()).value.json()).toEqual({ level: 0 })
    for (const socket of sockets.splice(0)) socket.destroy()
    await set(7)
    expect(await (await loop.next()).value.json()).toEqual({ level: 7 })
    await set(8)
    expect(await (await loop.next()).value.json()).toEqual({ level: 8 })
    await loop.return?.()
    await eventually(() => app.live === 1)
  })

  test('keeps the newest answers for a slow loop', async () => {
    const { port, set } = await state()
    const channel = await open(port, { limits: { queueMessages: 5 } })
    const loop = channel.observe({ 'iopa.Path': '/level' })[Symbol.asyncIterator]()
    await loop.next()
    for (let level = 1; level <= 50; level++) {
      await set(level)
      await later(1)
    }
    await later(20)
    const seen: number[] = []
    while (seen.at(-1) !== 50) seen.push((await (await loop.next()).value.json()).level)
    expect(seen.length).toBeLessThanOrEqual(6)
  })

  test('is refused for plain messages', async () => {
    const { port } = await serve(() => 'x', { framing: 'lines' })
    const channel = await open(port, {}, { framing: 'lines' })
    await expect(channel.observe({ 'iopa.Path': '/' })[Symbol.asyncIterator]().next()).rejects.toMatchObject({ status: 501 })
  })
})

describe('a client of plain messages', () => {
  test.each(['lines', 'lengthPrefixed'] as const)('sends bodies and gets bodies in their order: %s', async framing => {
    const { port } = await serve(async context => later(Number(await context.text()) % 7, context.text()), { framing })
    const channel = await open(port, {}, { framing })
    const texts = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => (await channel.send({ 'iopa.Method': 'DATA', 'iopa.Body': String(i) })).text())
    )
    expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => String(i)))
  })

  test('keeps the order of its messages when the peer reads slowly', async () => {
    const { port } = await serve(context => context.body, { framing: 'lengthPrefixed' })
    const channel = await open(port, {}, { framing: 'lengthPrefixed' })
    const bodies = Array.from({ length: 200 }, (_, i) => Buffer.alloc(1 + ((i * 7919) % 60_000), i))
    const answers = await Promise.all(bodies.map(body => channel.send({ 'iopa.Body': body })))
    for (const [i, answer] of answers.entries()) expect(Buffer.from((answer as LinkAnswer).payloadBytes).equals(bodies[i]!)).toBe(true)
  })

  test('ignores the answer to an aborted request', async () => {
    const { port } = await serve(async context => later((await context.text()) === 'slow' ? 100 : 0, context.text()), { framing: 'lines' })
    const channel = await open(port, { timeout: 1000 }, { framing: 'lines' })
    const abort = new AbortController()
    const slow = channel.send({ 'iopa.Body': 'slow', 'iopa.CallCancelled': abort.signal })
    abort.abort(new Error('enough'))
    await expect(slow).rejects.toThrow('enough')
    const slower = channel.send({ 'iopa.Body': 'slow', 'iopa.CallCancelled': AbortSignal.timeout(20) })
    await expect(slower).rejects.toThrow()
    expect(await (await channel.send({ 'iopa.Body': 'fast' })).text()).toBe('fast')
  })
})

test('an app connects to another app by tcp:', async () => {
  const { port, set } = await state()
  const app = new App({ logger: false }).use(tcp())
  atEnd(() => app.close())
  const client = await app.connect(`tcp://127.0.0.1:${port}`)
  expect(await (await client.get('/level')).json()).toEqual({ level: 0 })
  expect((await client.put('/level', {})).status).toBe(204)
  const abort = new AbortController()
  const levels: unknown[] = []
  for await (const answer of client.observe('/level', { signal: abort.signal })) {
    levels.push(await answer.json())
    if (levels.length === 1) await set(5)
    else abort.abort()
  }
  expect(levels).toEqual([{ level: 1 }, { level: 5 }])
  await client.close()
})
