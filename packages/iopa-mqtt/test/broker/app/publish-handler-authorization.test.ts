import { type App, type Context, defineMiddleware, IopaError, type MiddlewareFunction } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

/** Users are the part of the client identifier before '-'; a reader may not change anything. */
const withReaders = (app: App): App =>
  app.use((context, next) => {
    if (context.method === 'CONNECT') context.user = { id: String(context['mqtt.ClientId']).split('-')[0] as string }
    const changes = ['PUT', 'POST', 'PATCH', 'DELETE', 'PUBLISH'].includes(context.method)
    if (changes && context.user?.id === 'reader') throw new IopaError(403, 'forbidden', 'Readers change nothing.')
    return next()
  })

describe('a user who may only read', () => {
  const properties = (method: string): { userProperties: { method: string } } => ({ userProperties: { method } })

  test.each(['GET', 'HEAD', 'OPTIONS', 'FETCH', 'QUERY'])('cannot publish with the user property method: %s', async method => {
    const net = await lab(withReaders)
    const watcher = await net.client({ clientId: 'ann-1' })
    await watcher.subscribe('news')
    const reader = await net.client({ clientId: 'reader-1' })
    expect(await reader.put('news', 'false', { properties: properties(method) })).toMatchObject({ reasonCode: 0x87 })
    expect(await reader.put('news', 'false', { retain: true, properties: properties(method) })).toMatchObject({ reasonCode: 0x87 })
    expect(await reader.put('news', '', { properties: { responseTopic: 'answers' } })).toMatchObject({ reasonCode: 0x87 })
    expect(await watcher.messages()).toEqual([])
    const later = await net.client({ clientId: 'ann-2' })
    await later.subscribe('news')
    expect(await later.messages()).toEqual([])
  })

  test('cannot delete a retained message with the user property method: GET', async () => {
    const net = await lab(withReaders)
    const ann = await net.client({ clientId: 'ann-1' })
    await ann.put('news', 'kept', { retain: true })
    const reader = await net.client({ clientId: 'reader-1' })
    expect(await reader.put('news', '', { retain: true, properties: properties('GET') })).toMatchObject({ reasonCode: 0x87 })
    await ann.subscribe('news')
    expect(await ann.messages()).toEqual(['news kept'])
  })

  test('cannot publish by a will with the user property method: GET', async () => {
    const net = await lab(withReaders)
    const watcher = await net.client({ clientId: 'ann-1' })
    await watcher.subscribe('news')
    const reader = await net.client({
      clientId: 'reader-1',
      will: { topic: 'news', payload: Buffer.from('false'), qos: 0, retain: true, properties: properties('GET') }
    })
    await reader.vanish()
    await net.rest()
    expect(await watcher.messages()).toEqual([])
  })

  test('is no obstacle to requests between clients, which are relayed unchanged', async () => {
    const methods: string[] = []
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.path === '/service') methods.push(context.method)
        return next()
      })
      withReaders(app)
    })
    const service = await net.client({ clientId: 'ann-1' })
    await service.subscribe('service')
    methods.length = 0
    const ben = await net.client({ clientId: 'ben-1' })
    expect(await ben.put('service', '', { properties: { responseTopic: 'answers/ben' } })).toMatchObject({ reasonCode: 0 })
    expect(await service.next('publish')).toMatchObject({ topic: 'service', properties: { responseTopic: 'answers/ben' } })
    expect(methods).toEqual(['GET', 'PUT'])
  })
})

describe('a path behind a guard', () => {
  const guard = () =>
    defineMiddleware({ name: 'auth', provides: ['server.User'] }, (context: Context, next) => {
      const name = context.headers.get('authorization')
      if (context.user === undefined && name !== undefined) context.user = { id: name }
      if (context.user === undefined) throw new IopaError(401, 'who-is-it')
      return next()
    })
  const fill = (app: App, own: MiddlewareFunction = (_, next) => next()): App => {
    const routed = app.use(router())
    routed.get('/admin/state', own, () => 'secret')
    routed.put('/admin/state', own, () => undefined)
    routed.put('/admin/command', own, () => undefined)
    return routed
  }

  test.each<[string, (app: App) => unknown]>([
    ['of a path', app => fill(app.mount('/admin', guard()))],
    ['of every path', app => fill(app.use((context, next) => (['CONNECT', 'SUBSCRIBE'].includes(context.method) ? undefined : next())).use(guard()))],
    [
      'in a branch',
      app =>
        app.fork(
          ({ path }) => path.startsWith('/admin'),
          branch => fill(branch.use(guard()))
        )
    ],
    ['of the routes themselves', app => fill(app, guard())],
    [
      'of a path, rewritten behind it',
      app =>
        fill(
          app.mount('/admin', guard()).use((context, next) => {
            if (context.path.startsWith('/v1/')) context.path = context.path.slice(3)
            return next()
          })
        )
    ]
  ])('is disclosed to no session without a user, not by name either: a guard %s', async (_, build) => {
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.method === 'CONNECT' && String(context['mqtt.ClientId']) === 'ann') context.user = { id: 'ann' }
        return next()
      })
      build(app)
    })
    const anonymous = await Promise.all(
      ['#', '+/+', 'admin/#', 'admin/state', 'admin/command', '$share/g/#', 'v1/#', 'v1/admin/state'].map(async filter => {
        const client = await net.client({ clientId: `some-${filter}` })
        await client.subscribe(filter)
        return client
      })
    )
    const ann = await net.client({ clientId: 'ann' })
    await ann.subscribe('#')
    net.app.notify('/admin/state')
    const headers = { authorization: 'ann' }
    for (const path of ['/admin/state', '/v1/admin/state']) await net.app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': path, 'iopa.Headers': headers })
    await ann.put('admin/state', 'on', { retain: true })
    await ann.put('admin/command', 'go', { retain: true })
    expect(new Set(await ann.messages())).toEqual(new Set(['admin/state secret', 'admin/command go']))
    const later = await net.client({ clientId: 'later' })
    await later.subscribe('#')
    for (const client of [...anonymous, later]) expect(await client.messages()).toEqual([])
  })
})
