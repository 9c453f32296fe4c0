import type { Context } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { dial, eventually, get, put, serve } from './support.ts'

const later = (ms: number, value: unknown): Promise<unknown> => new Promise(resolve => setTimeout(() => resolve(value), ms))

describe('a bag in a datagram', () => {
  test('is a request, and its answer is a datagram', async () => {
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

  test('over IPv6 is answered there', async () => {
    const { port, listener } = await serve(context => context.remoteAddress, { host: '::1' })
    expect(listener.url.href).toBe(`udp://[::1]:${port}`)
    const peer = await dial(port, '::1')
    peer.send(get('/'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.Body': '::1' })
  })

  test('asking with HEAD gets no body', async () => {
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
  ])('that is %s gets the problem', async (_, bag, status, code) => {
    const { port, app } = await serve(context => context.path)
    const peer = await dial(port)
    peer.send(bag)
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': status, 'iopa.Body': { status, code } })
    peer.send(get('/b'))
    expect((await peer.answers(2))[1]).toMatchObject({ 'iopa.StatusCode': 200 })
    expect(app.live).toBe(0)
  })

  test('that is an answer itself is not answered, so that two servers do not answer each other without end', async () => {
    const { port } = await serve(context => context.path)
    const peer = await dial(port)
    peer.send({ 'iopa.StatusCode': 400, 'iopa.Seq': 1 })
    peer.send('{"iopa.StatusCode":400,"iopa.Bo')
    peer.send(get('/a'))
    expect(await peer.answers(1)).toMatchObject([{ 'iopa.StatusCode': 200 }])
  })

  test('that is none is answered a hundred times a second and no more', async () => {
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

  test('cannot observe: 501 names the protocols that can', async () => {
    const { port } = await serve(() => 'x')
    const peer = await dial(port)
    peer.send(get('/', 1, { 'iopa.Observe': true }))
    const [answer] = await peer.answers(1)
    expect(answer).toMatchObject({ 'iopa.StatusCode': 501, 'iopa.Seq': 1 })
    expect(JSON.stringify(answer)).toMatch(/tcp.*coap/)
  })

  test('with a body over the limit is 413', async () => {
    const { port } = await serve(() => 'x', { limits: { body: 10 } })
    const peer = await dial(port)
    peer.send(put('/', 'x'.repeat(20), 1))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 413, 'iopa.Seq': 1 })
  })

  test('whose handler fails gets a 500 that tells nothing', async () => {
    const { port, errors } = await serve(() => {
      throw new Error('the secret')
    })
    const peer = await dial(port)
    peer.send(get('/'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 500 })
    expect(peer.datagrams.join('')).not.toContain('secret')
    expect(errors).toHaveLength(1)
  })

  test('gets a streamed answer collected, a problem where that fails, and a status alone where it is too long', async () => {
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

  test('may bring back what a datagram holds, and a short 413 beyond that', async () => {
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
  test('are DATA requests, and bodies are datagrams', async () => {
    const { port } = await serve(async context => `${context.method} ${context.path} ${await context.text()}`, { framing: 'raw' })
    const peer = await dial(port)
    peer.send('hello')
    await eventually(() => peer.datagrams.length === 1)
    expect(String(peer.datagrams[0])).toBe('DATA / hello')
  })

  test('without an answer get none', async () => {
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
  test('on a port that is taken rejects', async () => {
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

  test('off loopback without authentication rejects and names the way out', async () => {
    await expect(serve(() => 'x', { host: '0.0.0.0' })).rejects.toThrow(/allowUnauthenticated: true/)
    await serve(() => 'x', { host: '0.0.0.0', allowUnauthenticated: true })
  })

  test('finishes what is in work when it is closed, and takes nothing more', async () => {
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

  test('forces what does not finish in time', async () => {
    const { port, app } = await serve(() => new Promise(() => undefined))
    const peer = await dial(port)
    peer.send(get('/'))
    await eventually(() => app.live === 1)
    await app.close({ timeout: 30 })
    expect(app.live).toBe(0)
  })
})
