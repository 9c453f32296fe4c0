import { App, type Bag, type Context, IopaError, type ReceivedAnswer, reply } from '@iopa/appbuilder'
import { contentTag } from '@iopa/appbuilder/extension'
import type { LinkAnswer } from '@iopa/context'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'

const quiet = { logger: false } as const
const appOf = () => new App(quiet).use(router())

const send = (app: App, method: string, path: string, headers: Record<string, string | string[]> = {}, more: Bag = {}): Promise<ReceivedAnswer> =>
  app.invoke({ ...more, 'iopa.Method': method, 'iopa.Path': path, 'iopa.Headers': headers })

/** A promise that the test settles. */
const deferred = <T = void>() => {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>(done => {
    resolve = done
  })
  return { promise, resolve }
}
const turns = async (count = 50): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await null
}

const OLD = 'Sun, 06 Nov 1994 08:49:37 GMT'
const NEW = 'Mon, 07 Nov 1994 08:49:37 GMT'

describe('a read with a precondition', () => {
  const app = appOf()
    .get('/tagged', () => reply(200, 'on', { etag: '"v1"', 'last-modified': OLD, 'content-language': 'en', 'cache-control': 'no-cache' }))
    .get('/weak', () => reply(200, 'on', { etag: 'W/"v1"' }))
    .get('/dated', () => reply(200, 'on', { 'last-modified': OLD }))
    .get('/own', { preconditions: 'own' }, () => reply(200, 'on', { etag: '"v1"' }))
    .get('/failing', () => reply(500, 'no', { etag: '"v1"' }))
    .get('/part', () => reply(206, 'o', { etag: '"v1"' }))
  test.each([
    ['/tagged', { 'if-none-match': '"v1"' }, 304],
    ['/tagged', { 'if-none-match': 'W/"v1"' }, 304],
    ['/tagged', { 'if-none-match': '"v0", "v1"' }, 304],
    ['/tagged', { 'if-none-match': ['"v0"', '"v1"'] }, 304],
    ['/tagged', { 'if-none-match': '*' }, 304],
    ['/tagged', { 'if-none-match': '"v0"' }, 200],
    ['/tagged', { 'if-none-match': 'v1' }, 200],
    ['/tagged', { 'if-none-match': '"v0"', 'if-modified-since': NEW }, 200],
    ['/tagged', { 'if-modified-since': NEW }, 304],
    ['/tagged', { 'if-match': '"v1"' }, 200],
    ['/tagged', { 'if-match': '*' }, 200],
    ['/tagged', { 'if-match': '"v0"' }, 412],
    ['/tagged', { 'if-match': 'W/"v1"' }, 412],
    ['/tagged', { 'if-match': '"v0"', 'if-none-match': '"v1"' }, 412],
    ['/tagged', { 'if-match': '"v1"', 'if-none-match': '"v1"' }, 304],
    ['/weak', { 'if-none-match': '"v1"' }, 304],
    ['/weak', { 'if-match': 'W/"v1"' }, 412],
    ['/dated', { 'if-modified-since': OLD }, 304],
    ['/dated', { 'if-modified-since': 'yesterday' }, 200],
    ['/dated', { 'if-unmodified-since': OLD }, 200],
    ['/dated', { 'if-unmodified-since': 'Sat, 05 Nov 1994 08:49:37 GMT' }, 412],
    ['/dated', { 'if-match': '*', 'if-unmodified-since': 'Sat, 05 Nov 1994 08:49:37 GMT' }, 200],
    ['/own', { 'if-none-match': '"v1"' }, 200],
    ['/failing', { 'if-none-match': '"v1"' }, 500],
    ['/part', { 'if-none-match': '"v1"' }, 206]
  ] as const)('GET and HEAD of %s with %j are %i', async (path, headers, status) => {
    const statuses = [await send(app, 'GET', path, headers as never), await send(app, 'HEAD', path, headers as never)].map(answer => answer.status)
    expect(statuses).toEqual([status, status])
  })

  test('keeps what a cache needs in a 304, and nothing of the content', async () => {
    const answer = await send(app, 'GET', '/tagged', { 'if-none-match': '"v1"' })
    expect([...answer.headers]).toEqual([
      ['etag', '"v1"'],
      ['cache-control', 'no-cache']
    ])
    expect([(answer as LinkAnswer).payload, answer.type]).toEqual([null, ''])
  })

  test('gives a content without a tag the tag of that content, in whatever form the handler wrote it', async () => {
    const values: Record<string, unknown> = { text: 'on', json: { on: true }, bytes: Uint8Array.of(1, 2), list: [1, 2], number: 5, null: null }
    const forms = appOf().get('/:name', ({ params }) => values[params.name])
    const contents: Record<string, string | Uint8Array> = {
      text: 'on',
      json: '{"on":true}',
      bytes: Uint8Array.of(1, 2),
      list: '[1,2]',
      number: '5',
      null: 'null'
    }
    for (const [name, content] of Object.entries(contents)) {
      const plain = await send(forms, 'GET', `/${name}`)
      const first = await send(forms, 'GET', `/${name}`, { 'if-none-match': '""' })
      expect([first.status, first.headers.get('etag'), first.type], name).toEqual([200, contentTag(content), plain.type])
      expect(await first.bytes()).toEqual(await plain.bytes())
      expect(plain.headers.has('etag')).toBe(false)
      const second = await send(forms, 'GET', `/${name}`, { 'if-none-match': contentTag(content) })
      expect([second.status, second.headers.get('etag')], name).toEqual([304, contentTag(content)])
    }
  })

  test('leaves a stream without a tag whole', async () => {
    const streams = appOf().get('/s', async function* () {
      yield 'a'
      yield 'b'
    })
    const answer = await send(streams, 'GET', '/s', { 'if-none-match': '"x"' })
    expect([answer.status, await answer.text()]).toEqual([200, 'ab'])
  })

  test('ends the body of a 304 that is not sent', async () => {
    let closed = 0
    const streams = appOf().get('/s', context => {
      const body = async function* () {
        yield 'a'
      }
      const source = body()
      context.defer(() => {
        closed++
        return source.return(undefined)
      })
      return reply(200, source, { etag: '"s"' })
    })
    const answer = await send(streams, 'GET', '/s', { 'if-none-match': '"s"' })
    expect([answer.status, (answer as LinkAnswer).payload, closed, streams.live]).toEqual([304, null, 1, 0])
  })
})

/** A store of one state, whose handlers count. */
const store = (state: { etag?: string; modified?: string; status?: number; body?: unknown } = {}) => {
  const runs = { get: 0, put: 0 }
  const app = appOf()
    .get('/a', () => {
      runs.get++
      return reply(state.status ?? 200, state.body === undefined ? 'state' : state.body, {
        ...(state.etag === undefined ? {} : { etag: state.etag }),
        ...(state.modified === undefined ? {} : { 'last-modified': state.modified })
      })
    })
    .put('/a', () => {
      runs.put++
      return reply(204)
    })
  return { app, runs }
}

describe('a change with a precondition', () => {
  test.each([
    [{ etag: '"v1"' }, { 'if-match': '"v1"' }, 204],
    [{ etag: '"v1"' }, { 'if-match': '"v0"' }, 412],
    [{ etag: '"v1"' }, { 'if-match': '"v0", "v1"' }, 204],
    [{ etag: '"v1"' }, { 'if-match': ['"v0"', '"v1"'] }, 204],
    [{ etag: '"v1"' }, { 'if-match': '*' }, 204],
    [{ etag: 'W/"v1"' }, { 'if-match': 'W/"v1"' }, 412],
    [{ etag: 'W/"v1"' }, { 'if-match': '"v1"' }, 412],
    [{ etag: '"v1"' }, { 'if-none-match': '"v1"' }, 412],
    [{ etag: '"v1"' }, { 'if-none-match': 'W/"v1"' }, 412],
    [{ etag: '"v1"' }, { 'if-none-match': '"v0"' }, 204],
    [{ etag: '"v1"' }, { 'if-none-match': '*' }, 412],
    [{ etag: '"v1"' }, { 'if-match': '"v1"', 'if-none-match': '"v1"' }, 412],
    [{}, { 'if-match': contentTag('state') }, 204],
    [{}, { 'if-match': contentTag('another') }, 412],
    [{}, { 'if-none-match': contentTag('state') }, 412],
    [{ status: 404 }, { 'if-match': '*' }, 412],
    [{ status: 404 }, { 'if-match': '"v1"' }, 412],
    [{ status: 404 }, { 'if-none-match': '*' }, 204],
    [{ status: 410, etag: '"v1"' }, { 'if-none-match': '"v1"' }, 204],
    [{ status: 410 }, { 'if-match': '*' }, 412],
    [{ status: 500 }, { 'if-match': '"v1"' }, 500],
    [{ status: 500 }, { 'if-none-match': '*' }, 500],
    [{ status: 403 }, { 'if-match': '*' }, 403],
    [{ status: 302 }, { 'if-match': '*' }, 302],
    [{ modified: OLD }, { 'if-unmodified-since': OLD }, 204],
    [{ modified: NEW }, { 'if-unmodified-since': OLD }, 412],
    [{ modified: NEW, etag: '"v1"' }, { 'if-match': '"v1"', 'if-unmodified-since': OLD }, 204],
    [{ modified: OLD }, { 'if-modified-since': NEW }, 204],
    [{}, { 'if-unmodified-since': OLD }, 204]
  ] as const)('of a state %j with %j is %i', async (state, headers, status) => {
    const { app, runs } = store(state)
    for (const method of ['PUT']) expect((await send(app, method, '/a', headers as never)).status).toBe(status)
    expect(runs).toEqual({ get: 1, put: status === 204 ? 1 : 0 })
    expect(app.live).toBe(0)
  })

  test.each(['PUT', 'POST', 'PATCH', 'DELETE', 'iPATCH'])('is judged for %s', async method => {
    let ran = 0
    const app = appOf()
      .get('/a', () => 'state')
      .on(method, '/a', () => reply(204, void ran++))
    expect((await send(app, method, '/a', { 'if-match': '"other"' })).status).toBe(412)
    expect((await send(app, method, '/a', { 'if-match': contentTag('state') })).status).toBe(204)
    expect(ran).toBe(1)
  })

  test('is judged after all middleware, so that a guard answers first', async () => {
    const { app, runs } = (() => {
      const runs = { get: 0, put: 0 }
      const guarded = new App(quiet)
        .use((context, next) => {
          if (context.headers.get('authorization') !== 'yes') throw new IopaError(401, 'who', 'Say who you are.')
          return next()
        })
        .use(router())
      guarded.get('/a', () => reply(200, 'x', { etag: `"${runs.get++}"` })).put('/a', () => void runs.put++)
      return { app: guarded, runs }
    })()
    expect((await send(app, 'PUT', '/a', { 'if-match': '*' })).status).toBe(401)
    expect(runs).toEqual({ get: 0, put: 0 })
    expect((await send(app, 'PUT', '/a', { 'if-match': '*', authorization: 'yes' })).status).toBe(204)
    expect(runs).toEqual({ get: 1, put: 1 })
  })

  test('sends a GET as the same user that has no condition, marks itself and asks for the content type of the change first', async () => {
    const seen: unknown[] = []
    const app = new App(quiet)
      .use((context, next) => {
        if (context['server.IsPrecondition'])
          seen.push([
            context.method,
            context.path,
            context['iopa.QueryString'],
            context.user?.id,
            [...context.headers],
            context['server.IsNotification']
          ])
        else context.user = { id: 'ann' }
        return next()
      })
      .use(router())
    app.get('/a', () => reply(200, 'x', { etag: '"v1"' })).put('/a', () => reply(204))
    const headers = {
      'if-match': '"v1"',
      'if-none-match': '"z"',
      cookie: 'c=1',
      accept: 'text/plain',
      'content-type': 'application/cbor',
      range: 'bytes=0-1'
    }
    const answer = await send(app, 'PUT', '/a', headers, { 'iopa.QueryString': 'q=1', 'iopa.Body': Uint8Array.of(0xf6) })
    expect(answer.status).toBe(204)
    expect(seen).toEqual([
      [
        'GET',
        '/a',
        'q=1',
        'ann',
        [
          ['cookie', 'c=1'],
          ['accept', 'application/cbor, text/plain;q=0.9']
        ],
        false
      ]
    ])
  })

  test('compares the representation of its own content type', async () => {
    const app = appOf()
    app
      .get('/a', context =>
        context.headers.get('accept')?.startsWith('text/csv') ? reply(200, 'csv', { 'content-type': 'text/csv' }) : { json: true }
      )
      .put('/a', () => reply(204))
    const put = (type: string, tag: string) => send(app, 'PUT', '/a', { 'if-match': tag, 'content-type': type }, { 'iopa.Body': 'x' })
    expect((await put('text/csv', contentTag('csv'))).status).toBe(204)
    expect((await put('application/json', contentTag('csv'))).status).toBe(412)
    expect((await put('application/json', contentTag('{"json":true}'))).status).toBe(204)
  })

  test('reads no more than the head of a stream that has a tag, and the content of one that has none', async () => {
    let read = 0
    let tag: string | undefined = '"v1"'
    const app = appOf()
    app
      .get('/a', () => {
        const body = async function* () {
          read++
          yield 'a'
          read++
          yield 'b'
        }
        return reply(200, body(), tag === undefined ? {} : { etag: tag })
      })
      .put('/a', () => reply(204))
    expect((await send(app, 'PUT', '/a', { 'if-match': '"v1"' })).status).toBe(204)
    expect(read).toBeLessThanOrEqual(1)
    read = 0
    tag = undefined
    expect((await send(app, 'PUT', '/a', { 'if-match': contentTag('ab') })).status).toBe(204)
    expect(read).toBe(2)
    expect(app.live).toBe(0)
  })

  test('answers the error of a stream that fails, and 504 for one that stalls, without the handler', async () => {
    let ran = 0
    const clock = virtualClock()
    const app = new App({ ...quiet, clock }).use(router())
    app
      .get('/fails', async function* () {
        yield 'a'
        throw new Error('disk')
      })
      .get('/stalls', async function* () {
        yield 'a'
        await new Promise(() => undefined)
      })
      .put('/:name', () => void ran++)
    expect((await send(app, 'PUT', '/fails', { 'if-match': '"x"' })).status).toBe(500)
    const stalled = await clock.runUntil(send(app, 'PUT', '/stalls', { 'if-match': '"x"' }))
    expect([stalled.status, ran]).toEqual([504, 0])
  })

  test('is left to a handler where the route says so, and where the path has no GET route', async () => {
    const seen: string[] = []
    const note = (context: Context): void => void seen.push(`${context.path} ${context.headers.get('if-match')}`)
    const app = appOf()
    app.get('/own', () => reply(200, 'x', { etag: '"v1"' }))
    app.put('/own', { preconditions: 'own' }, note)
    app.put('/bare', note)
    expect((await send(app, 'PUT', '/own', { 'if-match': '"v0"' })).status).toBe(204)
    expect((await send(app, 'PUT', '/bare', { 'if-match': '"v0"' })).status).toBe(204)
    expect(seen).toEqual(['/own "v0"', '/bare "v0"'])
  })

  test('finds the state of a mounted route, and of a path that middleware rewrites', async () => {
    const inner = appOf()
    let state = 'one'
    inner.get('/a', () => state).put('/a', () => void (state = 'two'))
    const app = new App(quiet).mount('/m', inner)
    expect((await send(app, 'PUT', '/m/a', { 'if-match': contentTag('none') })).status).toBe(412)
    expect((await send(app, 'PUT', '/m/a', { 'if-match': contentTag('one') })).status).toBe(204)
    expect(state).toBe('two')
    const rewriting = new App(quiet)
      .use((context, next) => {
        if (context.path.startsWith('/v1/')) context.path = context.path.slice(3)
        else context.path = `/hidden${context.path}`
        return next()
      })
      .use(router())
    rewriting.get('/a', () => state).put('/a', () => void (state = 'three'))
    expect((await send(rewriting, 'PUT', '/v1/a', { 'if-match': contentTag('one') })).status).toBe(412)
    expect((await send(rewriting, 'PUT', '/v1/a', { 'if-match': contentTag('two') })).status).toBe(204)
    expect(state).toBe('three')
  })

  test('costs a request without one nothing but a comparison: no GET runs, and a synchronous handler stays synchronous', () => {
    const { app, runs } = store()
    const host = app.host()
    const context = app.create({ 'iopa.Method': 'PUT', 'iopa.Path': '/a', 'iopa.Headers': { 'x-if': '1' } })
    let done = false
    host.run(context, () => {
      done = true
    })
    expect([done, runs]).toEqual([true, { get: 0, put: 1 }])
    void context.end()
  })
})

describe('changes of one path', () => {
  /** A state that is read before and written after a pause, so that changes side by side lose one another. */
  const slow = (app = appOf()) => {
    let state = 0
    app
      .get('/a', () => String(state))
      .put('/a', async context => {
        const next = Number(await context.text())
        await turns(5)
        state = next
        return reply(204)
      })
    return { app, state: () => state }
  }

  test('100 conditional PUTs with one tag: one succeeds and 99 are 412', async () => {
    const { app, state } = slow()
    const tag = contentTag('0')
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, at) => send(app, 'PUT', '/a', { 'if-match': tag }, { 'iopa.Body': String(at + 1) }))
    )
    const statuses = answers.map(answer => answer.status)
    expect([statuses.filter(status => status === 204).length, statuses.filter(status => status === 412).length]).toEqual([1, 99])
    expect(state()).toBe(statuses.indexOf(204) + 1)
    expect(app.live).toBe(0)
  })

  test('an unconditional change waits while a conditional one is under way, and other paths do not', async () => {
    const order: string[] = []
    const gate = deferred()
    const app = appOf()
    app.get('/:id', () => 'x')
    app.put('/:id', async ({ params, headers }) => {
      const name = `${params.id}${headers.has('if-match') ? ' conditional' : ''}`
      order.push(`${name} begins`)
      if (headers.has('if-match')) await gate.promise
      order.push(`${name} ends`)
    })
    const first = send(app, 'PUT', '/a', { 'if-match': '*' })
    await turns()
    const second = send(app, 'PUT', '/a')
    const third = send(app, 'PUT', '/b')
    const read = send(app, 'GET', '/a')
    expect([(await third).status, (await read).status]).toEqual([204, 200])
    expect(order).toEqual(['a conditional begins', 'b begins', 'b ends'])
    gate.resolve()
    expect([(await first).status, (await second).status]).toEqual([204, 204])
    expect(order.slice(3)).toEqual(['a conditional ends', 'a begins', 'a ends'])
  })

  test('wait until the handler has settled, also when its request was answered 504 before; those that waited too long never run', async () => {
    const clock = virtualClock()
    const app = new App({ ...quiet, clock, limits: { requestTimeout: 800 } }).use(router())
    const gate = deferred()
    const ran: string[] = []
    app
      .get('/a', () => 'x')
      .put('/a', async ({ query }) => {
        ran.push(query.get('n') as string)
        if (query.get('n') === '1') await gate.promise
      })
    const first = send(app, 'PUT', '/a', { 'if-match': '*' }, { 'iopa.QueryString': 'n=1' })
    await turns()
    const second = send(app, 'PUT', '/a', {}, { 'iopa.QueryString': 'n=2' })
    expect((await clock.runUntil(first)).status).toBe(504)
    expect((await clock.runUntil(second)).status).toBe(504)
    const third = send(app, 'PUT', '/a', { 'if-match': '*' }, { 'iopa.QueryString': 'n=3' })
    await turns()
    expect(ran).toEqual(['1'])
    gate.resolve()
    expect((await third).status).toBe(204)
    expect(ran).toEqual(['1', '3'])
  })

  test('do not wait for ever for a handler that never settles', async () => {
    const clock = virtualClock()
    const app = new App({ ...quiet, clock, limits: { requestTimeout: 800 } }).use(router())
    app.get('/a', () => 'x').put('/a', ({ query }) => (query.get('n') === '1' ? new Promise(() => undefined) : reply(204)))
    expect((await clock.runUntil(send(app, 'PUT', '/a', { 'if-match': '*' }, { 'iopa.QueryString': 'n=1' }))).status).toBe(504)
    await clock.advance(2000)
    expect((await send(app, 'PUT', '/a')).status).toBe(204)
  })

  test('forget one whose peer has gone while it waited', async () => {
    const gate = deferred()
    const ran: string[] = []
    const app = appOf()
    app
      .get('/a', () => 'x')
      .put('/a', async ({ query }) => {
        ran.push(query.get('n') as string)
        await gate.promise
      })
    const host = app.host()
    const first = send(app, 'PUT', '/a', { 'if-match': '*' }, { 'iopa.QueryString': 'n=1' })
    await turns()
    const leaving = app.create({ 'iopa.Method': 'PUT', 'iopa.Path': '/a', 'iopa.QueryString': 'n=2' })
    const left = host.invoke(leaving)
    await turns()
    void leaving.end('disconnect')
    await left
    expect(leaving.response.status).toBe(408)
    gate.resolve()
    expect((await first).status).toBe(204)
    await turns()
    expect(ran).toEqual(['1'])
    expect(app.live).toBe(0)
  })

  test('nested in one another do not wait for it, by a child context, by a bag, and after an await', async () => {
    for (const nest of [
      (app: App, _: Context) => send(app, 'PUT', '/a', { inner: '1' }),
      (app: App, _: Context) => send(app, 'PUT', '/a', { inner: '1', 'if-match': '*' }),
      (app: App, context: Context) => {
        const child = context.child('', 'PUT')
        child.headers.set('inner', '1')
        return app.invoke(child)
      }
    ]) {
      const app = appOf()
      const ran: string[] = []
      app
        .get('/a', () => 'x')
        .put('/a', async context => {
          ran.push(context.headers.has('inner') ? 'inner' : 'outer')
          if (context.headers.has('inner')) return reply(204)
          await turns(3)
          return reply(200, (await nest(app, context)).status)
        })
      const answer = await send(app, 'PUT', '/a', { 'if-match': '*' })
      expect([answer.status, await answer.json(), ran]).toEqual([200, 204, ['outer', 'inner']])
      expect(app.live).toBe(0)
    }
  })

  test('nested side by side in one change take turns among themselves', async () => {
    const app = appOf()
    let state = 0
    app
      .get('/a', () => String(state))
      .put('/a', async () => {
        await turns(3)
        state++
        return reply(204)
      })
    app
      .get('/all', () => 'x')
      .put('/all', async () => {
        const answers = await Promise.all([1, 2, 3].map(() => send(app, 'PUT', '/a', { 'if-match': contentTag('0') })))
        return answers.map(({ status }) => status).sort()
      })
    expect(await (await send(app, 'PUT', '/all', { 'if-match': '*' })).json()).toEqual([204, 412, 412])
  })

  test('that would wait in a circle are 409', async () => {
    const app = appOf()
    app.get('/:id', () => 'x')
    const both = deferred()
    let begun = 0
    app.put('/:id', async ({ params, headers }) => {
      if (headers.has('inner')) return reply(204)
      if (++begun === 2) both.resolve()
      await both.promise
      return reply(200, (await send(app, 'PUT', params.id === 'a' ? '/b' : '/a', { inner: '1' })).status)
    })
    const answers = await Promise.all([send(app, 'PUT', '/a', { 'if-match': '*' }), send(app, 'PUT', '/b', { 'if-match': '*' })])
    const inner = await Promise.all(answers.map(answer => answer.json()))
    expect(inner.sort()).toEqual([204, 409])
  })

  test('a handler that starts a change and does not wait for it leaves it no turn', async () => {
    const app = appOf()
    const started: Promise<ReceivedAnswer>[] = []
    app
      .get('/a', () => 'x')
      .put('/a', context => {
        if (!context.headers.has('later')) started.push(turns().then(() => send(app, 'PUT', '/a', { later: '1', 'if-match': '*' })))
        return reply(204)
      })
    expect((await send(app, 'PUT', '/a', { 'if-match': '*' })).status).toBe(204)
    expect((await Promise.all(started)).map(({ status }) => status)).toEqual([204])
  })

  test('that fail give their turn on', async () => {
    const app = appOf()
    let ran = 0
    app
      .get('/a', () => 'x')
      .put('/a', async () => {
        await turns(2)
        if (++ran === 1) throw new Error('first')
        return reply(204)
      })
    const answers = await Promise.all([1, 2, 3].map(() => send(app, 'PUT', '/a', { 'if-match': '*' })))
    expect(answers.map(({ status }) => status)).toEqual([500, 204, 204])
  })
})

describe('a change whose resource has several names or routers', () => {
  const slow = async (): Promise<void> => {
    await turns(20)
  }
  const counter = () => {
    let value = 0
    const add = async (): Promise<void> => {
      await slow()
      value++
    }
    return {
      read: () => String(value),
      add,
      app: appOf()
        .get('/x', () => String(value))
        .put('/x', add)
    }
  }
  const stripping = (context: Context, next: () => unknown): unknown => {
    if (context.path.startsWith('/v1')) context.path = context.path.slice(3)
    return next()
  }

  test.each<[string, string, string, () => App]>([
    [
      'an app at two places',
      '/a/x',
      '/b/x',
      () => {
        const { app } = counter()
        return new App(quiet).mount('/a', app).mount('/b', app)
      }
    ],
    [
      'an app within an app and beside it',
      '/a/b/x',
      '/c/x',
      () => {
        const { app } = counter()
        return new App(quiet).mount('/a', new App(quiet).mount('/b', app)).mount('/c', app)
      }
    ],
    ['a path that is rewritten above a mount', '/v1/m/x', '/m/x', () => new App(quiet).use(stripping).mount('/m', counter().app)],
    [
      'a branch within a mount within a branch',
      '/m/x',
      '/m/x',
      () =>
        new App(quiet).fork(
          () => true,
          outer =>
            outer.mount(
              '/m',
              new App(quiet).fork(
                () => true,
                inner => inner.use(counter().app)
              )
            )
        )
    ],
    [
      'a router that reads before one that writes',
      '/m/x',
      '/m/x',
      () => {
        const { read, add } = counter()
        return new App(quiet).mount('/m', appOf().get('/x', read)).mount('/m', appOf().put('/x', add))
      }
    ],
    [
      'a router that writes before one that reads',
      '/m/x',
      '/m/x',
      () => {
        const { read, add } = counter()
        return new App(quiet).mount('/m', appOf().put('/x', add)).mount('/m', appOf().get('/x', read))
      }
    ]
  ])('succeeds once of two with one tag: %s', async (_, one, other, build) => {
    const app = build()
    const tag = (await send(app, 'GET', one, { 'if-none-match': '""' })).headers.get('etag') as string
    const answers = await Promise.all([one, other].map(path => send(app, 'PUT', path, { 'if-match': tag })))
    expect(answers.map(({ status }) => status)).toEqual([204, 412])
    expect((await send(app, 'PUT', other, { 'if-match': tag })).status).toBe(412)
    expect(app.live).toBe(0)
  })
})
