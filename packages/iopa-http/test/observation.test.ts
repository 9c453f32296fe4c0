import { type Context, IopaError, reply } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { eventually, Peer, parse, serve } from './support.ts'

const EVENTS = 'Accept: text/event-stream\r\n'
const get = (path: string, fields = EVENTS): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`

/** The events in the text of a chunked answer. */
const eventsOf = (text: string): string[] => {
  let rest = text.slice(text.indexOf('\r\n\r\n') + 4)
  let body = ''
  for (;;) {
    const [size = ''] = rest.split('\r\n', 1)
    const length = Number.parseInt(size, 16)
    if (!length) break
    body += rest.slice(size.length + 2, size.length + 2 + length)
    rest = rest.slice(size.length + 4 + length)
  }
  return body.split('\n\n').filter(event => event !== '')
}

const lights = () => {
  const state = { on: false as unknown, etag: '', status: 200 }
  const handler = async (context: Context): Promise<unknown> => {
    if (context.method === 'PUT') {
      state.on = (await context.json<{ on: unknown }>()).on
      return undefined
    }
    if (state.status !== 200) throw new IopaError(state.status, 'lamp-gone', 'The lamp is gone.')
    return reply(200, { on: state.on }, state.etag === '' ? {} : { etag: state.etag })
  }
  return { state, handler }
}

describe('a GET that accepts text/event-stream', () => {
  test('gets the state as an event, and each change as another', async () => {
    const { handler } = lights()
    const { port, origin, app } = await serve(handler)
    const peer = new Peer(port).send(get('/hall'))
    await peer.until(/"on":false\}\n\n/)
    await fetch(`${origin}/hall`, { method: 'PUT', body: '{"on":true}', headers: { 'content-type': 'application/json' } })
    await peer.until(/"on":true\}\n\n/)
    expect(parse(peer.text)).toMatchObject({
      status: 200,
      headers: {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
        'transfer-encoding': 'chunked'
      }
    })
    const [first, second] = eventsOf(peer.text)
    expect(first).toMatch(/^retry: 3000\ncontent-type: application\/json\nid: \w+\ndata: \{"on":false\}$/)
    expect(second).toMatch(/^id: \w+\ndata: \{"on":true\}$/)
    peer.socket.destroy()
    await eventually('the observation has ended', () => app.live <= 1)
  })

  test('gets changes of paths that the app notifies, and not of others', async () => {
    const { handler, state } = lights()
    const { port, app } = await serve(handler)
    const peer = new Peer(port).send(get('/hall'))
    await peer.until(/"on":false\}\n\n/)
    state.on = 'elsewhere'
    app.notify('/kitchen')
    await new Promise(resolve => setTimeout(resolve, 20))
    state.on = 'here'
    app.notify('/hall')
    await peer.until(/"on":"here"\}\n\n/)
    expect(eventsOf(peer.text)).toHaveLength(2)
  })

  test('has the entity tag as id, and skips a first event that the observer has seen', async () => {
    const { handler, state } = lights()
    state.etag = '"v1"'
    const { port, app } = await serve(handler)
    const first = new Peer(port).send(get('/hall'))
    await first.until(/id: "v1"\n/)
    const again = new Peer(port).send(get('/hall', `${EVENTS}Last-Event-ID: "v1"\r\n`))
    await again.until(/retry: 3000\n\n/)
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(eventsOf(again.text)).toEqual(['retry: 3000'])
    state.etag = '"v2"'
    app.notify('/hall')
    await again.until(/content-type: application\/json\nid: "v2"\n/)
    const stale = new Peer(port).send(get('/hall', `${EVENTS}Last-Event-ID: "v1"\r\n`))
    await stale.until(/id: "v2"\n/)
  })

  test('has an id without an entity tag, the same for the same content', async () => {
    const { handler, state } = lights()
    const { port } = await serve(handler)
    const idOf = async (): Promise<string> => /id: (\w+)\n/.exec(await new Peer(port).send(get('/hall')).until(/data: /))?.[1] as string
    const before = await idOf()
    expect(await idOf()).toBe(before)
    const seen = new Peer(port).send(get('/hall', `${EVENTS}Last-Event-ID: ${before}\r\n`))
    await seen.until(/retry: 3000\n\n/)
    expect(seen.text).not.toMatch(/data:/)
    state.on = true
    expect(await idOf()).not.toBe(before)
  })

  test('gets a plain answer if there is nothing to observe', async () => {
    const { handler, state } = lights()
    state.status = 404
    const { app, port } = await serve(handler)
    const answer = parse(await new Peer(port).send(get('/hall', `${EVENTS}Connection: close\r\n`)).untilEnd())
    expect(answer).toMatchObject({ status: 404, headers: { 'content-type': 'application/problem+json' } })
    await eventually('nothing lives', () => app.live === 0)
  })

  test('gets an error event and the end when the state is deleted', async () => {
    const { handler, state } = lights()
    const { app, port } = await serve(handler)
    const peer = new Peer(port).send(get('/hall'))
    await peer.until(/"on":false\}\n\n/)
    state.status = 410
    app.notify('/hall')
    await peer.until(/0\r\n\r\n$/)
    const last = eventsOf(peer.text).at(-1) as string
    expect(last).toMatch(/^event: error\ndata: \{/)
    expect(JSON.parse(last.slice(last.indexOf('{')))).toMatchObject({ status: 410, code: 'lamp-gone' })
    expect(app.live).toBe(1)
    peer.text = ''
    state.status = 200
    peer.send(get('/hall', ''))
    await peer.until(/200 OK(?:.|\s)*"on":false\}$/)
  })

  test.each([204, 205])('gets a plain %i, which stops browsers from reconnecting, and the connection continues', async status => {
    const { app, port } = await serve(context => (context.path === '/next' ? 'next' : reply(status)))
    const peer = new Peer(port).send(get('/none') + get('/next', 'Connection: close\r\n'))
    const text = await peer.untilEnd()
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`, 'HTTP/1.1 200'])
    expect(text).not.toMatch(/event-stream|chunked/)
    expect(text).toMatch(/next$/)
    await eventually('nothing lives', () => app.live === 0)
  })

  test.each(['日本', 'a\u0007b'])('gets 500 at once if the first answer has a header that HTTP cannot express: %j', async value => {
    const { app, port } = await serve(() => reply(200, 'x', { 'x-note': value }))
    const answer = await new Peer(port).send(get('/', `${EVENTS}Connection: close\r\n`)).untilEnd()
    expect(parse(answer)).toMatchObject({ status: 500 })
    await eventually('nothing lives', () => app.live === 0)
  })

  test('keeps the header fields of the first answer that do not describe its body', async () => {
    const fields = { 'access-control-allow-origin': 'https://example.com', 'cache-control': 'private', etag: '"x"', 'last-modified': 'yesterday' }
    const { port } = await serve(() => reply(203, 'x', fields))
    const { status, headers } = parse(await new Peer(port).send(get('/')).until(/data: x/))
    expect(status).toBe(200)
    expect(headers).toMatchObject({ 'access-control-allow-origin': 'https://example.com', 'cache-control': 'no-store, no-transform' })
    expect(headers).not.toHaveProperty('etag')
    expect(headers).not.toHaveProperty('last-modified')
  })

  test('passes event streams of a handler through', async () => {
    const { app, port } = await serve(context => {
      context.response.type = 'text/event-stream'
      return (async function* () {
        yield new TextEncoder().encode('data: mine\n\n')
        await new Promise(resolve => context.signal.addEventListener('abort', resolve))
      })()
    })
    const peer = new Peer(port).send(get('/'))
    await peer.until(/data: mine\n\n/)
    expect(peer.text).not.toMatch(/retry|id:/)
    // Proxies must not gather these either.
    expect(parse(peer.text).headers).toMatchObject({ 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no' })
    app.notify('/')
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(peer.text.match(/data: mine/g)).toHaveLength(1)
    peer.socket.destroy()
    await eventually('nothing lives', () => app.live === 0)
  })
})

describe('an event', () => {
  const dataOf = async (body: unknown, type = ''): Promise<string> => {
    const { port } = await serve(context => {
      if (type !== '') context.response.type = type
      return body
    })
    return eventsOf(await new Peer(port).send(get('/')).until(/\n\n\r\n/))[0] as string
  }

  test('has as many lines as its data, and no data can forge a field', async () => {
    const event = await dataOf('one\ntwo\rthree\r\nevent: error\n\ndata: forged\n')
    expect(event.split('\n').slice(3)).toEqual([
      'data: one',
      'data: two',
      'data: three',
      'data: event: error',
      'data: ',
      'data: data: forged',
      'data: '
    ])
  })

  test('carries an empty body as empty data', async () => {
    expect(await dataOf('')).toMatch(/\ndata: $/)
  })

  test('has binary bytes as base64, marked in content-type', async () => {
    expect(await dataOf(new Uint8Array([0, 255, 128]), 'image/png')).toMatch(/content-type: image\/png;base64\nid: \w+\ndata: AP\+A$/)
    expect(await dataOf(new TextEncoder().encode('küche'))).toMatch(/content-type: application\/octet-stream\nid: \w+\ndata: /)
  })
})

describe('an observer', () => {
  test('gets comments on a silent path', async () => {
    const clock = virtualClock()
    const { handler } = lights()
    const { port } = await serve(handler, { clock, heartbeat: 1000, retry: 50 })
    const peer = new Peer(port).send(get('/hall'))
    await peer.until(/retry: 50\n(?:.|\n)*data: /)
    await clock.advance(10_000)
    await peer.until(() => (peer.text.match(/\r\n:\n\n\r\n/g)?.length ?? 0) >= 9)
    expect(peer.ended).toBe(false)
  })

  test('gets the newest state, without intermediate ones, if it reads slowly', async () => {
    const { handler, state } = lights()
    const { app, port } = await serve(handler)
    const peer = new Peer(port).send(get('/hall'))
    await peer.until(/data: /)
    peer.socket.pause()
    const filler = 'x'.repeat(100_000)
    for (let number = 1; number <= 500; number++) {
      state.on = `${number}:${filler}`
      app.notify('/hall')
      await new Promise(resolve => setImmediate(resolve))
    }
    peer.socket.resume()
    await peer.until(/"500:x/)
    expect(peer.text.match(/data: /g)?.length).toBeLessThan(400)
  })

  test('ends its observation when it disconnects', async () => {
    const { handler, state } = lights()
    const { app, port } = await serve(handler)
    let runs = 0
    const peers = Array.from({ length: 20 }, () => new Peer(port).send(get('/hall')))
    for (const peer of peers) await peer.until(/data: /)
    for (const peer of peers) peer.socket.destroy()
    await eventually('nothing lives', () => app.live === 0)
    state.on = { toJSON: () => ++runs }
    app.notify('/hall')
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(runs).toBe(0)
  })

  test('gets 503 over the limit', async () => {
    const { handler } = lights()
    const { port } = await serve(handler, { limits: { observers: 1 } })
    await new Peer(port).send(get('/hall')).until(/data: /)
    await new Peer(port).send(get('/hall')).until(/^HTTP\/1\.1 503 (?:.|\s)*too-many-observers/)
  })

  test('gets its events from the shared run of its group', async () => {
    let runs = 0
    const { app, port } = await serve(() => ({ run: ++runs }))
    const peers = Array.from({ length: 10 }, () => new Peer(port).send(get('/n')))
    for (const peer of peers) await peer.until(/data: /)
    expect(runs).toBe(10)
    app.notify('/n')
    for (const peer of peers) await peer.until(/"run":11/)
    expect(runs).toBe(11)
  })
})

describe('the Accept header', () => {
  const observes = async (accept: string): Promise<boolean> => {
    const { port } = await serve(context => context.observe === true)
    const text = await new Peer(port).send(get('/', `Connection: close\r\n${accept}\r\n`)).until(/true|false/)
    return text.includes('true')
  }

  test('requests observing among other types and in any case', async () => {
    expect(await observes('Accept: text/html;q=0.4, Text/Event-Stream;q=0.5')).toBe(true)
    expect(await observes('Accept: text/html\r\nAccept: text/event-stream')).toBe(true)
  })

  test('does not request observing if another type has a greater weight', async () => {
    for (const accept of [
      'application/json, text/event-stream;q=0.1',
      'text/event-stream;q=0.9, application/json',
      'text/html, Text/Event-Stream;q=0.5',
      '*/*, text/event-stream;q=0.999',
      'text/*;q=0.6, text/event-stream ; charset=utf-8 ; q=0.5',
      'text/event-stream;q=0.1\r\nAccept: application/json;q=0.2'
    ]) {
      expect(await observes(`Accept: ${accept}`), accept).toBe(false)
    }
  })

  test('requests observing if no type is preferred to events', async () => {
    for (const accept of [
      'text/event-stream;q=0.1',
      'application/json, text/event-stream',
      'text/event-stream, */*;q=0.1',
      'application/json;q=0.2, text/event-stream;q=0.2',
      'application/json;q=0, text/event-stream;q=0.001',
      'application/json;q=0.5, text/event-stream; Q=0.9'
    ]) {
      expect(await observes(`Accept: ${accept}`), accept).toBe(true)
    }
  })

  test('does not request observing by a wildcard, another type, or a weight of 0', async () => {
    for (const accept of [
      'Accept: */*',
      'Accept: text/*',
      'Accept: text/event-stream-not',
      'Accept: text/event-stream;q=0',
      'Accept: text/event-stream; Q=0.000'
    ]) {
      expect(await observes(accept)).toBe(false)
    }
  })

  test('has no effect on other methods', async () => {
    const { port } = await serve(context => String(context.observe))
    const text = await new Peer(port).send(`POST / HTTP/1.1\r\nHost: localhost\r\n${EVENTS}Content-Length: 0\r\n\r\n`).until(/undefined$/)
    expect(text).toMatch(/content-length: 9/)
  })
})
