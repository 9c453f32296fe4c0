import type { Context, IopaError } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { atEnd, dial, eventually, get, put, serve, settled } from './support.ts'

const later = (ms: number, value: unknown): Promise<unknown> => new Promise(resolve => setTimeout(() => resolve(value), ms))

describe('a bag on a line', () => {
  test('becomes a request, and its answer a line', async () => {
    const { port, app } = await serve(context => ({ path: context.path, method: context.method, query: context['iopa.QueryString'] }))
    const peer = await dial(port)
    peer.send(get('/lights/1', 7, { 'iopa.QueryString': 'a=1' }))
    expect(await peer.answers(1)).toEqual([
      {
        'iopa.StatusCode': 200,
        'iopa.ContentType': 'application/json',
        'iopa.Body': { path: '/lights/1', method: 'GET', query: 'a=1' },
        'iopa.Seq': 7
      }
    ])
    peer.end()
    await peer.until(() => peer.closed)
    await eventually(() => app.live === 0)
  })

  test('passes headers, content type and body to the handler', async () => {
    const { port } = await serve(async context => ({
      accept: context.headers.get('ACCEPT'),
      type: context.type,
      json: await context.json(),
      scheme: context.scheme,
      remote: context.remoteAddress,
      url: context.url
    }))
    const peer = await dial(port)
    peer.send({ ...put('/a', { on: true }), 'iopa.Headers': { Accept: 'text/plain' } })
    const [answer] = await peer.answers(1)
    expect(answer?.['iopa.Body']).toEqual({
      accept: 'text/plain',
      type: 'application/json',
      json: { on: true },
      scheme: 'tcp',
      remote: '127.0.0.1',
      url: `tcp://127.0.0.1:${port}/a`
    })
  })

  test('is never percent-decoded', async () => {
    const { port } = await serve(context => context.path)
    const peer = await dial(port)
    peer.send(get('/%2e%2e/a'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 200, 'iopa.Body': '/%2e%2e/a' })
  })

  test('gets a problem in its turn when it is malformed, and the session continues', async () => {
    const { port } = await serve(context => context.path)
    const peer = await dial(port)
    peer.send(
      get('/a'),
      '{"iopa.Method":',
      get('/b'),
      { ...get('/c', 3), 'server.User': 'root' },
      get('/../etc'),
      { ...get('/'), 'iopa.Method': 'CONNECT' },
      get('/d')
    )
    const answers = await peer.answers(7)
    expect(answers.map(answer => answer['iopa.StatusCode'])).toEqual([200, 400, 200, 400, 400, 400, 200])
    expect(answers[1]).toMatchObject({ 'iopa.ContentType': 'application/problem+json', 'iopa.Body': { status: 400, code: 'bag-syntax' } })
    expect(answers[3]).toMatchObject({ 'iopa.Seq': 3, 'iopa.Body': { code: 'bag-key' } })
    expect(answers[6]).toMatchObject({ 'iopa.Body': '/d' })
  })

  test.each([
    ['HTTP, as a web page can make a browser send it', 'POST /?x HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a TLS handshake', '\x16\x03\x01\x02\x00ticket\n']
  ])('after %s is not obeyed', async (_, before) => {
    const begun: string[] = []
    const { port, app } = await serve(context => void begun.push(context.path))
    const peer = await dial(port)
    peer.write(Buffer.from(before, 'latin1'))
    peer.send(put('/door', 'open'))
    await peer.until(() => peer.ended)
    expect(peer.bags).toMatchObject([{ 'iopa.StatusCode': 400, 'iopa.Body': { code: 'foreign-protocol' } }])
    expect(begun).toEqual([])
    peer.end()
    await eventually(() => app.live === 0)
  })

  test('gets 413 for a body over the limit, and the session continues', async () => {
    const { port } = await serve(context => context.path, { limits: { body: 100 } })
    const peer = await dial(port)
    peer.send(put('/a', 'x'.repeat(200), 1), get('/b', 2))
    expect((await peer.answers(2)).map(answer => [answer['iopa.Seq'], answer['iopa.StatusCode']])).toEqual([
      [1, 413],
      [2, 200]
    ])
  })

  test('gets no body for HEAD', async () => {
    const { port } = await serve(() => 'Hello')
    const peer = await dial(port)
    peer.send({ ...get('/'), 'iopa.Method': 'HEAD' })
    expect((await peer.answers(1))[0]).toEqual({ 'iopa.StatusCode': 200, 'iopa.ContentType': 'text/plain; charset=utf-8' })
  })

  test('gets a 500 without details when its handler fails; the log has them', async () => {
    const { port, errors } = await serve(() => {
      throw new Error('the secret')
    })
    const peer = await dial(port)
    peer.send(get('/'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 500 })
    expect(peer.text).not.toContain('secret')
    expect(errors).toHaveLength(1)
  })

  test('gets a streamed answer collected', async () => {
    const { port } = await serve(async function* () {
      yield new Uint8Array([104])
      await later(5, 0)
      yield new Uint8Array([105])
    } as never)
    const peer = await dial(port)
    peer.send(get('/', 1))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.Body': 'aGk=', 'iopa.BodyEncoding': 'base64', 'iopa.Seq': 1 })
  })

  test('gets 500 when a stream fails or exceeds the limit, and later answers keep their order', async () => {
    const { port, errors } = await serve(
      context =>
        (async function* () {
          yield new Uint8Array(60)
          if (context.path === '/fails') throw new Error('the secret')
          yield new Uint8Array(60)
        })(),
      { limits: { body: 100 } }
    )
    const peer = await dial(port)
    peer.send(get('/fails'), get('/long'))
    const answers = await peer.answers(2)
    expect(answers.map(answer => answer['iopa.Body'])).toMatchObject([{ code: 'internal-error' }, { code: 'answer-too-large' }])
    expect(peer.text).not.toContain('secret')
    expect(errors.length).toBe(2)
  })
})

describe('answers', () => {
  test('without a seq are sent in the order of the requests', async () => {
    const { port } = await serve(context => (context.path === '/slow' ? later(30, 'slow') : context.path === '/mid' ? later(5, 'mid') : 'fast'))
    const peer = await dial(port)
    peer.send(get('/slow'), get('/fast'), get('/mid'), get('/fast'))
    expect((await peer.answers(4)).map(answer => answer['iopa.Body'])).toEqual(['slow', 'fast', 'mid', 'fast'])
  })

  test('with a seq are sent as soon as they are ready', async () => {
    const { port } = await serve(context => (context.path === '/slow' ? later(30, 'slow') : 'fast'))
    const peer = await dial(port)
    peer.send(get('/slow', 1), get('/fast', 2), get('/slow'), get('/fast', 'three'), get('/fast'))
    expect((await peer.answers(5)).map(answer => answer['iopa.Seq'])).toEqual([2, 'three', 1, undefined, undefined])
  })

  test('of one read are sent in one write', async () => {
    const { port } = await serve(() => 'x')
    const peer = await dial(port)
    peer.send(...Array.from({ length: 50 }, (_, seq) => get('/', seq)))
    await peer.answers(50)
    expect(peer.reads.length).toBe(1)
  })

  test('that finish in one turn of the event loop are sent in one write', async () => {
    const { port } = await serve(async () => {
      await later(5, 0)
      await null
      return 'x'
    })
    const peer = await dial(port)
    peer.send(...Array.from({ length: 50 }, (_, seq) => get('/', seq)))
    await peer.answers(50)
    expect(peer.reads.length).toBeLessThanOrEqual(4)
  })

  test('reach a peer that has ended its side', async () => {
    const { port, app } = await serve(() => later(20, 'late'))
    const peer = await dial(port)
    peer.send(get('/a'))
    peer.socket.end('{"iopa.Method":"GET","iopa.Path":"/without/line/end"}')
    await peer.until(() => peer.ended)
    expect(peer.bags.map(bag => bag['iopa.Body'])).toEqual(['late', 'late'])
    await eventually(() => app.live === 0)
  })

  test('abort the request when the peer has disconnected', async () => {
    let reason: unknown
    let started = (): void => undefined
    const begun = new Promise<void>(resolve => {
      started = resolve
    })
    const { port, app } = await serve(context => {
      const { signal } = context
      started()
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject((reason = signal.reason))))
    })
    const peer = await dial(port)
    peer.send(get('/'))
    await begun
    peer.socket.resetAndDestroy()
    await eventually(() => app.live === 0)
    expect(reason).toMatchObject({ code: 'disconnect' })
  })
})

describe('a session', () => {
  test('keeps keys that middleware sets on its connection for all its requests', async () => {
    const { port } = await serve(context => {
      const connection = context['server.Connection']!
      if (context.path === '/login') connection['server.User'] = { id: 'ada' }
      return { user: context.user?.id ?? null, session: context['server.SessionId'] === connection['server.SessionId'] }
    })
    const [one, two] = [await dial(port), await dial(port)]
    one.send(get('/login'), get('/'))
    two.send(get('/'))
    expect((await one.answers(2))[1]?.['iopa.Body']).toEqual({ user: 'ada', session: true })
    expect((await two.answers(1))[0]?.['iopa.Body']).toEqual({ user: null, session: true })
  })

  test('handles ten thousand requests in one chunk', async () => {
    let count = 0
    const { port, app } = await serve(() => String(++count))
    const peer = await dial(port)
    peer.write(`${JSON.stringify(get('/'))}\n`.repeat(10_000))
    const answers = await peer.answers(10_000)
    expect(answers.at(-1)?.['iopa.Body']).toBe('10000')
    expect(app.live).toBe(1)
  })

  test('handles ten thousand slow requests, never more than the limit at once', async () => {
    let inWork = 0
    let most = 0
    const { port } = await serve(async context => {
      most = Math.max(most, ++inWork)
      await null
      await null
      inWork--
      return context['iopa.Seq'] as number
    })
    const peer = await dial(port)
    peer.send(...Array.from({ length: 10_000 }, (_, seq) => get('/', seq)))
    const answers = await peer.answers(10_000)
    expect(new Set(answers.map(answer => answer['iopa.Seq'])).size).toBe(10_000)
    expect(most).toBe(64)
  })

  test('accepts requests byte by byte', async () => {
    const { port } = await serve(context => context.path)
    const peer = await dial(port)
    for (const byte of Buffer.from(`${JSON.stringify(get('/h\u00e4ll'))}\r\n`)) {
      peer.write(Uint8Array.of(byte))
      await new Promise(resolve => setImmediate(resolve))
    }
    expect((await peer.answers(1))[0]?.['iopa.Body']).toBe('/h\u00e4ll')
  })

  test('ends an endless line at the limit with 413', async () => {
    const { port, app } = await serve(context => context.path, { limits: { body: 1000 } })
    const peer = await dial(port)
    peer.send(get('/before'))
    peer.write('x'.repeat(100_000))
    await peer.until(() => peer.ended)
    expect(peer.bags.map(bag => bag['iopa.StatusCode'])).toEqual([200, 413])
    await eventually(() => app.live === 0)
  })

  test('ends after the idle time', async () => {
    const { port, app } = await serve(() => 'x', { limits: { idleTimeout: 60 } })
    const peer = await dial(port)
    await peer.until(() => peer.ended)
    peer.end()
    await eventually(() => app.live === 0)
  })

  test('ends when a message is incomplete in time, however steadily its bytes arrive', async () => {
    const { port, app } = await serve(() => 'x', { limits: { requestTimeout: 100 } })
    const peer = await dial(port)
    const timer = setInterval(() => peer.write('{'), 5)
    atEnd(() => clearInterval(timer))
    await peer.until(() => peer.ended)
    expect(peer.bags[0]).toMatchObject({ 'iopa.StatusCode': 408 })
    await eventually(() => app.live === 0)
  })

  test('stays open without time limits', async () => {
    const { port } = await serve(() => 'x'.repeat(1_000_000), {
      limits: { idleTimeout: Number.POSITIVE_INFINITY, requestTimeout: Number.POSITIVE_INFINITY }
    })
    const peer = await dial(port)
    peer.socket.pause()
    for (let i = 0; i < 10; i++) peer.send(get('/'))
    peer.write('{"iopa.Method"')
    await later(50, 0)
    peer.socket.resume()
    peer.write(':"GET","iopa.Path":"/"}\n')
    expect(await peer.answers(11)).toHaveLength(11)
  })

  test('gets 503 and is closed over the limit of connections', async () => {
    const { port, app } = await serve(() => 'x', { limits: { connections: 2 } })
    const first = [await dial(port), await dial(port)]
    for (const peer of first) peer.send(get('/'))
    for (const peer of first) await peer.answers(1)
    const third = await dial(port)
    await third.until(() => third.ended)
    expect(third.bags[0]).toMatchObject({ 'iopa.StatusCode': 503, 'iopa.Body': { code: 'too-many-connections' } })
    first[0]!.end()
    await eventually(() => app.live === 1)
    const fourth = await dial(port)
    fourth.send(get('/'))
    expect((await fourth.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 200 })
  })

  test('leaves nothing behind when it is opened and dropped', async () => {
    const { port, app } = await serve(() => later(10, 'x'))
    for (let round = 0; round < 10; round++) {
      const peers = await Promise.all(Array.from({ length: 50 }, () => dial(port)))
      peers.forEach((peer, i) => {
        if (i % 3 === 0) peer.send(get('/'))
        if (i % 2 === 0) peer.socket.resetAndDestroy()
        else peer.socket.destroy()
      })
    }
    await eventually(() => app.live === 0)
  })

  test('ends, without a trace, when the peer stays half open', async () => {
    const { port, app } = await serve(() => 'x')
    const peer = await dial(port)
    peer.end()
    // The peer never reads the end, nor closes: this side does.
    await eventually(() => app.live === 0)
  })
})

describe('a peer that does not read', () => {
  const big = 'x'.repeat(50_000)

  test('is not read until it reads, and loses nothing', async () => {
    let handled = 0
    const { port, app } = await serve(context => {
      handled++
      return `${context.path}${big}`
    })
    const peer = await dial(port)
    peer.socket.pause()
    const requests = Array.from({ length: 1000 }, (_, i) => `${JSON.stringify(get(`/${i}/`))}\n`)
    for (const request of requests) peer.write(request)
    await eventually(() => handled > 0)
    // The kernel's buffers hold some; fifty megabytes never fit.
    expect(await settled(() => handled)).toBeLessThan(800)
    expect(app.live).toBeLessThan(70)
    peer.socket.resume()
    const bags = await peer.answers(requests.length)
    expect(bags.map(bag => String(bag['iopa.Body']).slice(0, 6))).toEqual(requests.map((_, i) => `/${i}/xxxxx`.slice(0, 6)))
  })

  test('is not read while its answers wait, however much it sends', async () => {
    const { port } = await serve(() => big)
    const peer = await dial(port)
    peer.socket.pause()
    const request = `${JSON.stringify(put('/', 'x'.repeat(100_000)))}\n`
    for (let i = 0; i < 400; i++) peer.write(request)
    const sent = peer.socket.writableLength
    await eventually(() => peer.socket.writableLength < sent)
    // Of the forty megabytes the kernel took some, and the session a chunk or two.
    expect(await settled(() => peer.socket.writableLength)).toBeGreaterThan(20_000_000)
  })

  test('is dropped after the idle time, even while its requests run', async () => {
    const { port, app } = await serve(() => later(1, big), { limits: { idleTimeout: 200 } })
    const peer = await dial(port)
    peer.socket.pause()
    for (let i = 0; i < 500; i++) peer.send(get('/', i))
    await eventually(() => app.live > 60)
    await eventually(() => app.live === 0)
  })

  test('is dropped after the idle time, even if it observes', async () => {
    const { port, app } = await serve(() => big, { limits: { idleTimeout: 200 } })
    const peer = await dial(port)
    peer.send(get('/', 1, { 'iopa.Observe': true }))
    await peer.answers(1)
    peer.socket.pause()
    const timer = setInterval(() => app.notify('/'), 1)
    atEnd(() => clearInterval(timer))
    await eventually(() => app.live === 0)
  })

  test('is dropped after the idle time if it never reads', async () => {
    const { port, app } = await serve(() => big, { limits: { idleTimeout: 200 } })
    const peer = await dial(port)
    peer.socket.pause()
    for (let i = 0; i < 500; i++) peer.write(`${JSON.stringify(get('/'))}\n`)
    await eventually(() => app.live > 0)
    await eventually(() => app.live === 0)
  })
})

describe('close()', () => {
  test('finishes running requests, then ends the connections', async () => {
    const { port, app } = await serve(context => later(context.path === '/slow' ? 50 : 0, 'done'))
    const [busy, idle] = [await dial(port), await dial(port)]
    idle.send(get('/'))
    await idle.answers(1)
    busy.send(get('/slow'))
    await eventually(() => app.live === 3)
    const closed = app.close({ timeout: 5000 })
    await idle.until(() => idle.ended)
    idle.end()
    await busy.until(() => busy.ended)
    busy.end()
    expect(busy.bags[0]).toMatchObject({ 'iopa.Body': 'done' })
    await closed
    expect(app.live).toBe(0)
    await expect(dial(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('starts no new requests', async () => {
    const begun: string[] = []
    const { port, app } = await serve(context => {
      begun.push(context.path)
      return later(50, 'done')
    })
    const peer = await dial(port)
    peer.send(get('/'))
    await eventually(() => begun.length === 1)
    const closed = app.close({ timeout: 5000 })
    peer.send(get('/late'))
    await peer.until(() => peer.ended)
    peer.end()
    await closed
    expect(begun).toEqual(['/'])
    expect(peer.bags).toHaveLength(1)
  })

  test('cuts off requests that do not finish in time', async () => {
    let reason: unknown
    const { port, app } = await serve(
      ({ signal }: Context) =>
        new Promise(resolve =>
          signal.addEventListener('abort', () => {
            reason = signal.reason
            resolve('too late')
          })
        )
    )
    const peer = await dial(port)
    peer.send(get('/'))
    await eventually(() => app.live === 2)
    await app.close({ timeout: 50 })
    expect(app.live).toBe(0)
    expect((reason as IopaError).name).toBe('IopaError')
  })
})

describe('listen()', () => {
  test('rejects when the port is in use', async () => {
    const { port } = await serve(() => 'x')
    await expect(serve(() => 'x', { port })).rejects.toMatchObject({ name: 'IopaError', code: 'bind-failed' })
  })

  test('rejects off loopback without authentication, and names the option', async () => {
    await expect(serve(() => 'x', { host: '0.0.0.0' })).rejects.toThrow(/allowUnauthenticated: true/)
    const { port } = await serve(() => 'x', { host: '0.0.0.0', allowUnauthenticated: true })
    const peer = await dial(port)
    peer.send(get('/'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 200 })
  })

  test('works over IPv6', async () => {
    const { url, port } = await serve(context => context.remoteAddress, { host: '::1' })
    expect(url.href).toBe(`tcp://[::1]:${port}`)
    const peer = await dial(port, { host: '::1' })
    peer.send(get('/'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.Body': '::1' })
  })
})
