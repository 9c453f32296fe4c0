import type { Context } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { dial, eventually, get, put, serve } from './support.ts'

const later = (ms: number, value: unknown): Promise<unknown> => new Promise(resolve => setTimeout(() => resolve(value), ms))

describe('a bag in a datagram', () => {
  test('becomes a request, and its answer a datagram', async () => {
    const { port, app } = await serve(async (context: Context) => ({
      method: context.method,
      path: context.path,
      query: context['iopa.QueryString'],
      accept: context.headers.get('accept'),
      body: await context.json(),
      scheme: context.scheme,
      from: context.remoteAddress,
      url: context.url
    }))
    const peer = await dial(port)
    peer.send({ ...put('/lights/1', { on: true }, 7), 'iopa.QueryString': 'a=1', 'iopa.Headers': { Accept: 'text/plain' } })
    expect(await peer.answers(1)).toEqual([
      {
        'iopa.StatusCode': 200,
        'iopa.ContentType': 'application/json',
        'iopa.Body': {
          method: 'PUT',
          path: '/lights/1',
          query: 'a=1',
          accept: 'text/plain',
          body: { on: true },
          scheme: 'udp',
          from: '127.0.0.1',
          url: `udp://127.0.0.1:${port}/lights/1?a=1`
        },
        'iopa.Seq': 7
      }
    ])
    expect(app.live).toBe(0)
  })

  test('may end with a line feed, as netcat sends it', async () => {
    const { port } = await serve(context => context.path)
    const peer = await dial(port)
    peer.send(`${JSON.stringify(get('/a'))}\n`)
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.Body': '/a' })
    expect(peer.datagrams[0]!.at(-1)).toBe(10)
  })

  test('is answered as soon as its handler is done', async () => {
    const { port, app } = await serve(context => later(context.path === '/slow' ? 30 : 0, context.path))
    const peer = await dial(port)
    peer.send(get('/slow', 1))
    peer.send(get('/fast', 2))
    expect((await peer.answers(2)).map(bag => bag['iopa.Seq'])).toEqual([2, 1])
    expect(app.live).toBe(0)
  })

  test('is answered over IPv6', async () => {
    const { port, listener } = await serve(context => context.remoteAddress, { host: '::1' })
    expect(listener.url.href).toBe(`udp://[::1]:${port}`)
    const peer = await dial(port, '::1')
    peer.send(get('/'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.Body': '::1' })
  })

  test('gets no body for HEAD', async () => {
    const { port } = await serve(() => 'Hello')
    const peer = await dial(port)
    peer.send({ ...get('/', 1), 'iopa.Method': 'HEAD' })
    expect((await peer.answers(1))[0]).toEqual({ 'iopa.StatusCode': 200, 'iopa.ContentType': 'text/plain; charset=utf-8', 'iopa.Seq': 1 })
  })

  test.each([
    ['no JSON', '{"iopa.Method":', 400, 'bag-syntax'],
    ['text', 'hello', 400, 'bag-syntax'],
    ['an empty datagram', '', 400, 'bag-syntax'],
    ['a foreign key', { ...get('/'), 'server.User': 'root' }, 400, 'bag-key'],
    ['a control method', { ...get('/'), 'iopa.Method': 'DATA' }, 400, 'control-method'],
    ['a path that leads out', get('/../etc/passwd'), 400, 'dot-segment'],
    ['a path of a thousand segments', get('/a'.repeat(1000)), 414, 'too-many-segments'],
    ['a NUL', get('/a\0'), 400, 'nul-in-path']
  ])('gets a problem if it is %s', async (_, bag, status, code) => {
    const { port, app } = await serve(context => context.path)
    const peer = await dial(port)
    peer.send(bag)
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': status, 'iopa.Body': { status, code } })
    peer.send(get('/b'))
    expect((await peer.answers(2))[1]).toMatchObject({ 'iopa.StatusCode': 200 })
    expect(app.live).toBe(0)
  })

  test('gets no answer if it is an answer itself, so that two servers do not answer each other for ever', async () => {
    const { port } = await serve(context => context.path)
    const peer = await dial(port)
    peer.send({ 'iopa.StatusCode': 400, 'iopa.Seq': 1 })
    peer.send('{"iopa.StatusCode":400,"iopa.Bo')
    peer.send(get('/a'))
    expect(await peer.answers(1)).toMatchObject([{ 'iopa.StatusCode': 200 }])
  })

  test('is answered at most a hundred times a second if it is invalid', async () => {
    const { port } = await serve(context => context.path)
    const peer = await dial(port)
    for (let i = 0; i < 1000; i++) {
      peer.send('nonsense')
      if (i % 50 === 0) await later(1, 0)
    }
    peer.send(get('/end', 1))
    await eventually(() => peer.datagrams.some(bytes => bytes.includes('/end')))
    // The thousand may fall into two or three seconds.
    expect(peer.datagrams.length).toBeLessThanOrEqual(301)
    expect(peer.datagrams.length).toBeGreaterThan(90)
  })

  test('gets 501 for observing, with the protocols that support it', async () => {
    const { port } = await serve(() => 'x')
    const peer = await dial(port)
    peer.send(get('/', 1, { 'iopa.Observe': true }))
    const [answer] = await peer.answers(1)
    expect(answer).toMatchObject({ 'iopa.StatusCode': 501, 'iopa.Seq': 1 })
    expect(JSON.stringify(answer)).toMatch(/tcp.*coap/)
  })

  test('gets 413 for a body over the limit', async () => {
    const { port } = await serve(() => 'x', { limits: { body: 10 } })
    const peer = await dial(port)
    peer.send(put('/', 'x'.repeat(20), 1))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 413, 'iopa.Seq': 1 })
  })

  test('gets a 500 without details when its handler fails', async () => {
    const { port, errors } = await serve(() => {
      throw new Error('the secret')
    })
    const peer = await dial(port)
    peer.send(get('/'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 500 })
    expect(peer.datagrams.join('')).not.toContain('secret')
    expect(errors).toHaveLength(1)
  })

  test('gets a collected stream, a problem if the stream fails, and only a status if it is too long', async () => {
    const { port, errors, app } = await serve(context =>
      (async function* () {
        yield Buffer.from('some')
        if (context.path === '/fails') throw new Error('the secret')
        if (context.path === '/long') yield Buffer.alloc(70_000)
      })()
    )
    const peer = await dial(port)
    for (const [seq, path] of ['/short', '/fails', '/long'].entries()) {
      peer.send(get(path, seq))
      await peer.answers(seq + 1)
    }
    expect((await peer.answers(3)).map(bag => [bag['iopa.StatusCode'], (bag['iopa.Body'] as { code?: string })?.code ?? bag['iopa.Body']])).toEqual([
      [200, Buffer.from('some').toString('base64')],
      [500, 'internal-error'],
      [413, undefined]
    ])
    expect(errors).toHaveLength(1)
    expect(app.live).toBe(0)
  })

  test('gets an answer up to the size of a datagram, and a short 413 above', async () => {
    const { port } = await serve(context => 'x'.repeat(Number(context.path.slice(1))))
    const peer = await dial(port)
    peer.send(get('/60000', 1))
    peer.send(get('/65500', 2))
    const answers = await peer.answers(2)
    expect(answers.find(bag => bag['iopa.Seq'] === 1)?.['iopa.StatusCode']).toBe(200)
    expect(answers.find(bag => bag['iopa.Seq'] === 2)).toEqual({ 'iopa.StatusCode': 413, 'iopa.Seq': 2 })
  })
})

describe('plain datagrams', () => {
  test('become DATA requests, and bodies become datagrams', async () => {
    const { port } = await serve(async context => `${context.method} ${context.path} ${await context.text()}`, { framing: 'raw' })
    const peer = await dial(port)
    peer.send('hello')
    await eventually(() => peer.datagrams.length === 1)
    expect(String(peer.datagrams[0])).toBe('DATA / hello')
  })

  test('get no reply without an answer body', async () => {
    const { port, app } = await serve(async context => ((await context.text()) === 'quiet' ? undefined : 'loud'), { framing: 'raw' })
    const peer = await dial(port)
    peer.send('quiet')
    peer.send('else')
    await eventually(() => peer.datagrams.length === 1)
    expect(String(peer.datagrams[0])).toBe('loud')
    expect(app.live).toBe(0)
  })
})

describe('a listener', () => {
  test('rejects when its port is in use', async () => {
    const { port } = await serve(() => 'x')
    await expect(serve(() => 'x', { port })).rejects.toMatchObject({ name: 'IopaError', code: 'bind-failed' })
  })

  test('on a name that has no address rejects', async () => {
    await expect(serve(() => 'x', { host: 'nowhere.invalid', allowUnauthenticated: true })).rejects.toMatchObject({
      status: 500,
      code: 'bind-failed'
    })
    const { listener } = await serve(() => 'x', { host: 'localhost' })
    expect(listener.url.hostname).toMatch(/127\.0\.0\.1|::1/)
  })

  test('rejects off loopback without authentication, and names the option', async () => {
    await expect(serve(() => 'x', { host: '0.0.0.0' })).rejects.toThrow(/allowUnauthenticated: true/)
    await serve(() => 'x', { host: '0.0.0.0', allowUnauthenticated: true })
  })

  test('finishes running requests when it closes, and accepts no more', async () => {
    let begun = 0
    const { port, app } = await serve(() => {
      begun++
      return later(50, 'done')
    })
    const peer = await dial(port)
    peer.send(get('/'))
    await eventually(() => app.live === 1)
    const closed = app.close({ timeout: 5000 })
    peer.send(get('/late'))
    await closed
    expect(begun).toBe(1)
    expect(await peer.answers(1)).toMatchObject([{ 'iopa.Body': 'done' }])
    expect(app.live).toBe(0)
  })

  test('cuts off requests that do not finish in time', async () => {
    const { port, app } = await serve(() => new Promise(() => undefined))
    const peer = await dial(port)
    peer.send(get('/'))
    await eventually(() => app.live === 1)
    await app.close({ timeout: 30 })
    expect(app.live).toBe(0)
  })
})
