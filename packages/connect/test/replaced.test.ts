// Middleware that replaces what sends: sessions (as express-session with on-headers) and compression (as compression).
import { createGzip } from 'node:zlib'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { connect } from '../src/index.ts'
import { errors, serve } from './support.ts'

type Any = Record<string, (...values: unknown[]) => unknown> & { _header: unknown }

/** What the package on-headers does. */
const onHeaders = (res: Any, listener: (this: Any) => void): void => {
  const writeHead = res['writeHead'] as (...values: unknown[]) => unknown
  let fired = false
  res['writeHead'] = function (this: Any, ...values) {
    if (!fired) {
      fired = true
      listener.call(this)
    }
    return writeHead.apply(this, values)
  }
}

const session = (save: (done: (error?: Error) => void) => void) => (req: unknown, res: unknown, next: (error?: unknown) => void) => {
  Object.assign(req as object, { session: { visits: 1 } })
  const response = res as Any
  onHeaders(response, () => void response['setHeader']?.('set-cookie', ['sid=1', 'theme=dark']))
  const end = response['end'] as (...values: unknown[]) => unknown
  let ended = false
  response['end'] = function (this: Any, ...values) {
    if (ended) return false
    ended = true
    save(error => {
      if (error !== undefined) setImmediate(next, error)
      end.apply(this, values)
    })
    return true
  }
  next()
}

const compression = (_req: unknown, res: unknown, next: () => void): void => {
  const response = res as Any
  const write = response['write'] as (chunk: unknown) => boolean
  const end = response['end'] as (...values: unknown[]) => unknown
  const on = response['on'] as (type: unknown, listener: unknown) => unknown
  let stream: ReturnType<typeof createGzip> | undefined
  const waiting: (() => void)[] = []
  let ended = false
  response['write'] = function (this: Any, chunk) {
    if (!this._header) this['_implicitHeader']?.()
    return stream ? stream.write(chunk) : write.call(this, chunk)
  }
  response['end'] = function (this: Any, chunk) {
    if (ended) return false
    if (!this._header) this['_implicitHeader']?.()
    ended = true
    if (stream === undefined) return end.call(this, chunk)
    return chunk === undefined ? stream.end() : stream.end(chunk)
  }
  onHeaders(response, function () {
    if (!/json|text/.test(String(this['getHeader']?.('Content-Type')))) return
    stream = createGzip()
    for (const listener of waiting) stream.on('drain', listener)
    this['setHeader']?.('Content-Encoding', 'gzip')
    this['removeHeader']?.('Content-Length')
    stream.on('data', data => {
      if (!write.call(this, data)) stream?.pause()
    })
    stream.on('end', () => end.call(this))
    on.call(this, 'drain', () => stream?.resume())
  })
  response['on'] = function (this: Any, type, listener) {
    if (type !== 'drain') return on.call(this, type, listener)
    if (stream === undefined) waiting.push(listener as () => void)
    else stream.on('drain', listener as () => void)
    return this
  }
  next()
}

describe('middleware that replaces functions of the response', () => {
  test('hears of the head of the answer, and holds it until it is done', async () => {
    const order: string[] = []
    const { origin } = await serve(app => {
      const routes = app
        .use(
          connect(
            session(done => {
              order.push('save')
              setTimeout(() => {
                order.push('saved')
                done()
              }, 5)
            })
          )
        )
        .use(router())
      routes.get('/', context => context['connect.Request']?.['session'])
      routes.get('/fails', () => {
        throw new Error('no')
      })
    })
    const answer = await fetch(origin)
    order.push('answered')
    expect([answer.status, answer.headers.getSetCookie(), await answer.json()]).toEqual([200, ['sid=1', 'theme=dark'], { visits: 1 }])
    expect(order).toEqual(['save', 'saved', 'answered'])
    const failed = await fetch(`${origin}/fails`)
    expect([failed.status, failed.headers.getSetCookie().length, ((await failed.json()) as { code: string }).code]).toEqual([
      500,
      2,
      'internal-error'
    ])
  })

  test('that fails then is logged, and the answer leaves', async () => {
    const { origin } = await serve(app => {
      app.use(connect(session(done => done(new Error('disk full'))))).use(() => 'hello')
    })
    expect(await (await fetch(origin)).text()).toBe('hello')
    expect(errors.some(([text]) => String(text).includes('failed after it had called next()'))).toBe(true)
  })

  test('changes the body on its way', async () => {
    const { origin, app } = await serve(app => {
      const routes = app.use(connect(compression)).use(router())
      routes.get('/json', () => ({ big: 'x'.repeat(10_000) }))
      routes.get('/stream', async function* () {
        for (let at = 0; at < 50; at++) yield `line ${at}\n`.repeat(1000)
      })
      routes.get('/bytes', () => new Uint8Array([1, 2, 3]))
      routes.get('/none', context => {
        context.response.status = 204
      })
    })
    const json = await fetch(`${origin}/json`)
    expect([json.headers.get('content-encoding'), json.headers.get('content-type'), ((await json.json()) as { big: string }).big.length]).toEqual([
      'gzip',
      'application/json',
      10_000
    ])
    const problem = await fetch(`${origin}/missing`)
    expect([problem.status, ((await problem.json()) as { code: string }).code]).toEqual([404, 'no-route'])
    const bytes = await fetch(`${origin}/bytes`)
    expect([bytes.headers.get('content-encoding'), [...new Uint8Array(await bytes.arrayBuffer())]]).toEqual([null, [1, 2, 3]])
    expect((await fetch(`${origin}/none`)).status).toBe(204)
    const head = await fetch(`${origin}/json`, { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect(app.live).toBeLessThan(6)
  })

  test('changes a streamed body on its way', async () => {
    const { origin } = await serve(app => {
      app.use(connect(compression)).use(context => {
        context.response.type = 'text/plain'
        return (async function* () {
          for (let at = 0; at < 50; at++) yield `line ${at}\n`.repeat(1000)
        })()
      })
    })
    const answer = await fetch(origin)
    expect(answer.headers.get('content-encoding')).toBe('gzip')
    expect((await answer.text()).split('\n')).toHaveLength(50_001)
  })

  test('leaves the events of an observer as they are', async () => {
    const { origin, app } = await serve(app => {
      app.use(connect(compression)).use(() => ({ n: 1 }))
    })
    const stop = new AbortController()
    const answer = await fetch(origin, { headers: { accept: 'text/event-stream' }, signal: stop.signal })
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    expect(answer.headers.get('content-encoding')).toBe(null)
    expect(new TextDecoder().decode((await reader.read()).value)).toContain('data: {"n":1}')
    app.notify('/')
    expect(new TextDecoder().decode((await reader.read()).value)).toContain('data: {"n":1}')
    stop.abort()
  })
})
