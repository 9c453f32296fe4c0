import { App, type Bag, type Context, defineMiddleware, type IopaError, type MiddlewareFunction, type ReceivedAnswer, reply } from '@iopa/appbuilder'
import { isUnrouted } from '@iopa/appbuilder/extension'
import type { LinkAnswer } from '@iopa/context'
import { CAPABILITIES } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { type RouterOptions, router } from '../src/index.ts'

const appWith = (options: RouterOptions = {}) => new App({ logger: false }).use(router(options))

const send = (app: App, method: string, path: string, bag: Bag = {}): Promise<ReceivedAnswer> =>
  app.invoke({ ...bag, 'iopa.Method': method, 'iopa.Path': path })

const thrownBy = (run: () => unknown): IopaError => {
  try {
    run()
  } catch (error) {
    return error as IopaError
  }
  throw new Error('nothing was thrown')
}

describe('a route', () => {
  test('answers its method and path with the return value of the handler', async () => {
    const app = appWith().get('/hello', () => 'Hello World')
    const answer = await send(app, 'GET', '/hello')
    expect([answer.status, await answer.text()]).toEqual([200, 'Hello World'])
  })

  test('passes its parameters and pattern to the handler', async () => {
    const seen: unknown[] = []
    const app = appWith().get('/lights/:id/{part}', context => {
      seen.push({ ...context.params }, context['iopa.Params'], context['iopa.Route'], context.route)
      return null
    })
    await send(app, 'GET', '/lights/hall/level')
    const params = { id: 'hall', part: 'level' }
    expect(seen.map(item => (typeof item === 'object' ? { ...item } : item))).toEqual([params, params, '/lights/:id/{part}', '/lights/:id/{part}'])
  })

  test.each(['get', 'head', 'post', 'put', 'patch', 'delete', 'options'] as const)('is added by %s() for that method only', async name => {
    const app = appWith()
    app[name]('/a', () => reply(201, 'x'))
    expect((await send(app, name.toUpperCase(), '/a')).status).toBe(201)
    expect((await send(app, name === 'put' ? 'POST' : 'PUT', '/a')).status).toBe(405)
  })

  test('is added by all() for every method without its own route', async () => {
    const app = appWith()
      .all('/a', ({ method }) => `all ${method}`)
      .get('/a', () => 'get')
    expect(await (await send(app, 'GET', '/a')).text()).toBe('get')
    expect(await (await send(app, 'PURGE', '/a')).text()).toBe('all PURGE')
  })

  test('is added by on() for any method name', async () => {
    const app = appWith()
      .on('DATA', '/a', () => 'data')
      .on('FETCH', '/a', () => 'fetch')
    expect(await (await send(app, 'FETCH', '/a')).text()).toBe('fetch')
    expect(await (await send(app, 'DATA', '/a')).text()).toBe('data')
  })

  test.each([
    ['get', '"GET"'],
    ['ipatch', '"iPATCH"'],
    ['', 'Pass the method']
  ])('is refused for the method %j', (method, advice) => {
    expect(() => appWith().on(method, '/a', () => 1)).toThrow(advice)
  })

  test('may call the rest of the pipeline', async () => {
    const app = appWith()
      .get('/{id}', ({ params }, next) => (params.id === 'mine' ? 'route' : next()))
      .use(() => 'rest')
    expect(await (await send(app, 'GET', '/mine')).text()).toBe('route')
    expect(await (await send(app, 'GET', '/other')).text()).toBe('rest')
  })

  test('answers when its promise settles, and a rejection reaches the error boundary', async () => {
    const app = appWith()
      .get('/a', async () => 'later')
      .get('/b', async () => {
        throw new Error('secret')
      })
    expect(await (await send(app, 'GET', '/a')).text()).toBe('later')
    const failed = await send(app, 'GET', '/b')
    expect(failed.status).toBe(500)
    expect(await failed.text()).not.toContain('secret')
  })

  test('may be added after the first request', async () => {
    const app = appWith()
    expect((await send(app, 'GET', '/a')).status).toBe(404)
    app.get('/a', () => 'a')
    expect((await send(app, 'GET', '/a')).status).toBe(200)
  })

  test('matches a path that was decoded once, and does not decode it again', async () => {
    const app = appWith().get('/{name}', ({ params }) => params.name)
    expect(await (await send(app, 'GET', '/100%25')).text()).toBe('100%25')
  })

  test('stays synchronous when its handler is', () => {
    const app = appWith().get('/a', () => 'a')
    const host = app.host()
    const context = host.create({ method: 'GET', path: '/a', query: '', rawPath: '/a', endpoint: app.create({}).endpoint, source: null })
    let done = false
    host.run(context, () => {
      done = true
    })
    expect(done).toBe(true)
  })

  test('is refused without a handler', () => {
    const app = appWith()
    for (const rest of [[], ['x'], [{ rt: 'x' }], [{ rt: 'x' }, 'y'], [null, () => 1]]) {
      expect(() => (app.get as (...args: unknown[]) => unknown)('/a', ...rest), JSON.stringify(rest)).toThrow('needs a handler')
    }
  })

  test('is refused when added twice, with the file and line of both', () => {
    const app = appWith()
    app.get('/lights/:id', () => 1)
    const error = thrownBy(() => app.get('/lights/{name}', () => 2))
    expect([error.name, error.code]).toEqual(['IopaError', 'duplicate-route'])
    expect(error.message).toMatch(
      /GET \/lights\/\{name\} \(.*router\.test\.ts:\d+\) matches the same paths as GET \/lights\/:id \(.*router\.test\.ts:\d+\)/
    )
  })

  test('is refused at registration with an invalid pattern or a catastrophic regex', () => {
    expect(thrownBy(() => appWith().get('/lights/:id.json', () => 1)).code).toBe('invalid-pattern')
    expect(thrownBy(() => appWith().get('/lights/{id:(?:a+)+}', () => 1)).code).toBe('invalid-constraint')
  })
})

describe('a request without a matching route', () => {
  const lights = () =>
    appWith()
      .get('/lights/:id', ({ params }) => ({ id: params.id }))
      .put('/lights/:id', () => undefined)

  test('is answered by the rest of the pipeline', async () => {
    const app = lights().use(({ method }) => `rest ${method}`)
    expect(await (await send(app, 'GET', '/nothing')).text()).toBe('rest GET')
    for (const method of ['POST', 'OPTIONS']) expect(await (await send(app, method, '/lights/1')).text()).toBe(`rest ${method}`)
  })

  test('gets 404 if the path has no route', async () => {
    const answer = await send(lights(), 'DELETE', '/nothing')
    expect([answer.status, answer.error?.code, answer.headers.get('allow')]).toEqual([404, 'no-route', undefined])
  })

  test('gets 405 with Allow if the path has routes for other methods', async () => {
    const answer = await send(lights(), 'POST', '/lights/1')
    expect([answer.status, answer.error?.code, answer.headers.get('allow')]).toEqual([405, 'method-not-allowed', 'GET, HEAD, OPTIONS, PUT'])
    expect(await answer.json()).toMatchObject({ status: 405, detail: 'This path answers GET, HEAD, OPTIONS, PUT.' })
  })

  test('gets 405 with the methods of every matching pattern', async () => {
    const app = appWith()
      .get('/users/me', () => 1)
      .delete('/users/{id}', () => 1)
      .on('PURGE', '/*', () => 1)
    expect((await send(app, 'PUT', '/users/me')).headers.get('allow')).toBe('DELETE, GET, HEAD, OPTIONS, PURGE')
    expect((await send(app, 'PUT', '/users/1')).headers.get('allow')).toBe('DELETE, OPTIONS, PURGE')
  })

  test('is answered by GET for HEAD, which keeps its own method', async () => {
    const app = appWith().get('/lights/:id', context => {
      context.response.headers.set('x-method', context.method)
      return { id: context.params.id, route: context.route }
    })
    const answer = await send(app, 'HEAD', '/lights/hall')
    expect([answer.status, answer.type, answer.headers.get('x-method')]).toEqual([200, 'application/json', 'HEAD'])
    expect(await answer.json()).toEqual({ id: 'hall', route: '/lights/:id' })
  })

  test('gets the same answer for HEAD and GET, whatever the handler does', async () => {
    const app = appWith()
      .get('/nothing', () => undefined)
      .get('/status', context => void (context.response.status = 202))
      .get('/reply', () => reply(206, 'x', { etag: '"1"' }))
      .get('/promise', async () => 'x')
      .get('/null', () => null)
      .get('/throws', () => {
        throw new Error('x')
      })
      .get('/next', (_, next) => next())
    for (const path of ['/nothing', '/status', '/reply', '/promise', '/null', '/throws', '/next']) {
      const [get, head] = await Promise.all([send(app, 'GET', path), send(app, 'HEAD', path)])
      expect([head.status, head.type, head.headers.get('etag'), head.error?.code], path).toEqual([
        get.status,
        get.type,
        get.headers.get('etag'),
        get.error?.code
      ])
    }
  })

  test('lets outer middleware see and edit the answer of an automatic HEAD', async () => {
    const seen: unknown[] = []
    const app = new App({ logger: false })
      .use(async (context, next) => {
        await next()
        seen.push(isUnrouted(context), context.response.body)
        context.response.headers.set('x-outer', '1')
      })
      .use(router())
      .get('/a', async () => 'a')
    const answer = await send(app, 'HEAD', '/a')
    expect(seen).toEqual([false, 'a'])
    expect([answer.status, answer.headers.get('x-outer')]).toEqual([200, '1'])
  })

  test('prefers a HEAD route to GET', async () => {
    const app = appWith()
      .get('/a', () => 'get')
      .head('/a', () => reply(203))
    expect((await send(app, 'HEAD', '/a')).status).toBe(203)
  })

  test('gets 405 for HEAD without a GET route', async () => {
    const app = appWith().put('/a', () => 1)
    const answer = await send(app, 'HEAD', '/a')
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'OPTIONS, PUT'])
  })

  test('gets 204 with Allow for OPTIONS', async () => {
    const answer = await send(lights(), 'OPTIONS', '/lights/1')
    expect([answer.status, answer.error, answer.headers.get('allow'), (answer as LinkAnswer).payload]).toEqual([
      204,
      null,
      'GET, HEAD, OPTIONS, PUT',
      null
    ])
    expect((await send(lights(), 'OPTIONS', '/nothing')).status).toBe(404)
  })

  test('never reaches a route for all methods with a control method', async () => {
    const app = new App({ logger: false }).use(router())
    app.all('/*', context => context.method).on('SUBSCRIBE', '/named', context => context.method)
    const status = async (method: string, path: string): Promise<number> => (await app.invoke({ 'iopa.Method': method, 'iopa.Path': path })).status
    expect([await status('CONNECT', '/x'), await status('PUBLISH', '/x'), await status('SUBSCRIBE', '/named'), await status('PUT', '/x')]).toEqual([
      404, 404, 200, 200
    ])
  })

  test('with a control method reaches only routes that name it', async () => {
    for (const method of ['CONNECT', 'SUBSCRIBE', 'DATA']) expect((await send(lights(), method, '/lights/1')).error?.code, method).toBe('no-route')
    const app = appWith().on('SUBSCRIBE', '/a', () => 'yes')
    expect((await send(app, 'SUBSCRIBE', '/a')).status).toBe(200)
    expect((await send(app, 'GET', '/a')).error?.code).toBe('no-route')
  })

  test('waits for a rest that answers late', async () => {
    const late: MiddlewareFunction = async context => {
      await Promise.resolve()
      context.response.status = 203
    }
    expect((await send(lights().use(late), 'POST', '/lights/1')).status).toBe(203)
  })
})

describe('a group', () => {
  test('puts its prefix before the paths of its routes', async () => {
    const app = appWith().group('/houses/{house}', houses => {
      houses
        .get('/', ({ params }) => `house ${params.house}`)
        .get('/lights/:id', ({ params, route }) => `${params.house} ${params.id} ${route}`)
        .group('/rooms', rooms => rooms.on('FETCH', '/{room}', ({ params }) => `${params.house} ${params.room} ${rooms.prefix}`))
    })
    expect(await (await send(app, 'GET', '/houses/a')).text()).toBe('house a')
    expect(await (await send(app, 'GET', '/houses/a/lights/1')).text()).toBe('a 1 /houses/{house}/lights/:id')
    expect(await (await send(app, 'FETCH', '/houses/a/rooms/b')).text()).toBe('a b /houses/{house}/rooms')
    expect((await send(app, 'GET', '/houses/a/')).status).toBe(404)
    expect((await send(app, 'GET', '/lights/1')).status).toBe(404)
  })

  test('returns the object that it was called on', () => {
    const app = appWith()
    expect(app.group('/a', () => undefined)).toBe(app)
    app.group('/b', group => expect(group.get('/c', () => 1)).toBe(group))
  })

  test.each([
    ['a', 'begin it with "/"'],
    ['/', 'let it end with a name or a parameter'],
    ['/a/', 'let it end with a name or a parameter'],
    ['/a/*', 'let it end with a name or a parameter'],
    ['/:a.b', 'a parameter with ":" fills its whole segment']
  ])('is refused with the prefix %j', (prefix, advice) => {
    expect(() => appWith().group(prefix, () => undefined)).toThrow(advice)
  })

  test('refuses a route whose path does not begin with a slash', () => {
    expect(() => appWith().group('/a', group => group.get('b', () => 1))).toThrow('begin it with "/"')
  })

  test('names the places of its own routes when they collide with others', () => {
    const app = appWith().get('/a/b', () => 1)
    const error = thrownBy(() => app.group('/a', group => group.get('/b', () => 1)))
    expect(error.message.match(/router\.test\.ts:\d+/g)).toHaveLength(2)
  })
})

describe('a router', () => {
  test('lists its patterns with methods, segments and attributes', () => {
    const app = appWith()
      .get('/', () => 1)
      .get('/lights/{id:[0-9]+}', { rt: 'light', ct: 50, title: 'A light' }, () => 1)
      .put('/lights/{id:[0-9]+}', { if: 'actuator', sz: 12 }, () => 1)
      .all('/files/{rest*}', { discoverable: false }, () => 1)
      .get('/files/{rest*}', () => 1)
      .group('/api', api =>
        api
          .get('/x/', () => 1)
          .get('/{page}?', () => 1)
          .get('/f/{rest*}?', { obs: true }, () => 1)
      )
    const number = { kind: 'param', name: 'id', constraint: expect.objectContaining({ source: '[0-9]+' }) }
    const light = { pattern: '/lights/{id:[0-9]+}', segments: [{ kind: 'static', value: 'lights' }, number] }
    const files = {
      pattern: '/files/{rest*}',
      segments: [
        { kind: 'static', value: 'files' },
        { kind: 'tail', name: 'rest' }
      ]
    }
    expect([...app.routes()]).toEqual([
      { method: 'GET', pattern: '/', segments: [], attributes: {} },
      // Attributes belong to one method.
      { method: 'GET', ...light, attributes: { rt: 'light', ct: 50, title: 'A light' } },
      { method: 'PUT', ...light, attributes: { if: 'actuator', sz: 12 } },
      { method: undefined, ...files, attributes: { discoverable: false } },
      { method: 'GET', ...files, attributes: {} },
      {
        method: 'GET',
        pattern: '/api/x/',
        segments: [
          { kind: 'static', value: 'api' },
          { kind: 'static', value: 'x' },
          { kind: 'static', value: '' }
        ],
        attributes: {}
      },
      {
        method: 'GET',
        pattern: '/api/{page}?',
        segments: [
          { kind: 'static', value: 'api' },
          { kind: 'param', name: 'page', optional: true }
        ],
        attributes: {}
      },
      {
        method: 'GET',
        pattern: '/api/f/{rest*}?',
        segments: [
          { kind: 'static', value: 'api' },
          { kind: 'static', value: 'f' },
          { kind: 'tail', name: 'rest', optional: true }
        ],
        attributes: { obs: true }
      }
    ])
  })

  test('routes below a mount, and lists the whole pattern', async () => {
    const inner = appWith()
      .get('/', ({ pathBase }) => `root of ${pathBase}`)
      .get('/lights/:id', ({ params, pathBase }) => `${params.id} in ${pathBase}`)
    const app = appWith().get('/lights/:id', () => 'outer')
    app.mount('/house', inner)
    expect(await (await send(app, 'GET', '/house/lights/1')).text()).toBe('1 in /house')
    expect(await (await send(app, 'GET', '/house')).text()).toBe('root of /house')
    expect(await (await send(app, 'GET', '/lights/1')).text()).toBe('outer')
    expect([...app.routes()].map(({ pattern }) => pattern)).toEqual(['/lights/:id', '/house', '/house/lights/:id'])
    const refused = await send(app, 'PUT', '/house/lights/1')
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS'])
    expect((await send(app, 'HEAD', '/house/lights/1')).status).toBe(200)
  })

  test('registers its capability', () => {
    expect(appWith().capabilities[CAPABILITIES.Router]).toMatchObject({ version: '5.0' })
  })

  test('ignores the trailing slash by option', async () => {
    const strict = appWith().get('/a', () => 1)
    const relaxed = appWith({ trailingSlash: 'ignore' }).get('/a', () => 1)
    expect([(await send(strict, 'GET', '/a/')).status, (await send(relaxed, 'GET', '/a/')).status]).toEqual([404, 200])
  })

  test('belongs to one app', () => {
    const shared = router()
    new App().use(shared)
    expect(() => new App().use(shared)).toThrow('call router() once for each app')
  })

  test('keeps the routes of two apps separate', async () => {
    const one = appWith().get('/a', () => 1)
    const two = appWith().get('/b', () => 1)
    expect([(await send(one, 'GET', '/b')).status, (await send(two, 'GET', '/a')).status]).toEqual([404, 404])
  })

  test('answers an observer like any other GET, and a change runs the route again', async () => {
    let state = 1
    const app = appWith()
      .get('/n/:id', ({ params }) => `${params.id} ${state}`)
      .put('/n/:id', context => {
        state = 2
        expect(context.route).toBe('/n/:id')
      })
    const seen: string[] = []
    for await (const answer of app.observe('/n/a')) {
      seen.push(await answer.text())
      if (seen.length === 2) break
      await send(app, 'PUT', '/n/a')
    }
    expect(seen).toEqual(['a 1', 'a 2'])
  })

  test('works with middleware before and after it, and leaves no context behind', async () => {
    const order: string[] = []
    const note =
      (name: string): MiddlewareFunction =>
      async (_: Context, next) => {
        order.push(name)
        await next()
        order.push(`/${name}`)
      }
    const app = new App({ logger: false }).use(note('before')).use(router()).use(note('after'))
    app.get('/a', () => void order.push('a'))
    await send(app, 'GET', '/a')
    await send(app, 'GET', '/b')
    expect(order).toEqual(['before', 'a', '/before', 'before', 'after', '/after', '/before'])
    expect(app.live).toBe(0)
  })
})

describe('routes with their own guard', () => {
  test('are listed separately, and only for users', async () => {
    const guard = defineMiddleware({ name: 'auth', provides: ['server.User'] }, (_, next) => next())
    const app = new App({ logger: false }).use(router())
    app
      .get('/open', () => 1)
      .put('/open', [guard], () => 1)
      .get('/secret', guard, () => 1)
    const host = app.host()
    const context = app.create({ 'iopa.Path': '/.well-known/core' })
    await host.invoke(context)
    const listed = () => Array.from(host.routes(context), ({ method, pattern }) => `${method} ${pattern}`)
    expect(listed()).toEqual(['GET /open'])
    context['server.User'] = { id: 'ann' }
    expect(listed()).toEqual(['GET /open', 'PUT /open', 'GET /secret'])
    await context.end()
  })
})
