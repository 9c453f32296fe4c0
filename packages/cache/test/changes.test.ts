import { App, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'
import { cache } from '../src/index.ts'

const text = async (app: { invoke(bag: never): Promise<{ text(): Promise<string> }> }, path: string, more: object = {}) =>
  (await app.invoke({ 'iopa.Path': path, ...more } as never)).text()

/** A gate that a handler waits at. */
const gate = () => {
  let open = (): void => undefined
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return { opened, open: () => open() }
}

test('drops what a change makes old: the path itself, its queries, and collections that the handler names', async () => {
  let state = 1
  const app = new App().use(cache({ ttl: 60 })).use(router())
  app.get('/lights', () => `all ${state}`)
  app.get('/lights/:id', context => `${context.params.id} ${context.query.get('q')} ${state}`)
  app.put('/lights/:id', context => {
    state++
    context.notify('/lights')
  })
  const all = () =>
    Promise.all([text(app, '/lights'), text(app, '/lights/1'), text(app, '/lights/1', { 'iopa.QueryString': 'q=1' }), text(app, '/lights/2')])
  expect(await all()).toEqual(['all 1', '1 null 1', '1 1 1', '2 null 1'])
  await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/1' })
  expect(await all()).toEqual(['all 2', '1 null 2', '1 1 2', '2 null 1'])
  app.notify('/lights/2')
  expect(await text(app, '/lights/2')).toBe('2 null 2')
})

test('drops paths behind mounts, and those that middleware rewrites', async () => {
  let state = 1
  const inner = new App().use(router())
  inner.get('/n', () => `n ${state}`)
  inner.put('/n', () => void state++)
  const app = new App()
    .use(cache({ ttl: 60 }))
    .use((context, next) => {
      if (context.path === '/v1') context.path = '/in/n'
      return next()
    })
    .mount('/in', inner)
  const both = () => Promise.all([text(app, '/in/n'), text(app, '/v1')])
  expect(await both()).toEqual(['n 1', 'n 1'])
  inner.notify('/n')
  state = 5
  expect(await both()).toEqual(['n 5', 'n 5'])
  await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/in/n' })
  expect(await both()).toEqual(['n 6', 'n 6'])
})

test('works within a mounted app', async () => {
  let state = 1
  const inner = new App().use(cache({ ttl: 60 })).use(router())
  inner.get('/n', () => `n ${state}`)
  const app = new App().mount('/in', inner)
  expect(await text(app, '/in/n')).toBe('n 1')
  state = 2
  expect(await text(app, '/in/n')).toBe('n 1')
  app.notify('/in/n')
  expect(await text(app, '/in/n')).toBe('n 2')
})

test('one GET runs for all that wait for the same answer', async () => {
  let runs = 0
  const { opened, open } = gate()
  const app = new App().use(cache({ ttl: 60 })).use(async () => {
    runs++
    await opened
    return 'x'
  })
  const answers = Array.from({ length: 100 }, () => text(app, '/a'))
  open()
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['x']))
  expect(runs).toBe(1)
})

test('requests of different users never wait for one another', async () => {
  const app = new App().use(cache({ ttl: 60 })).use(async context => {
    await Promise.resolve()
    return `for ${context.user?.id}`
  })
  const users = ['ann', 'bob', undefined]
  const answers = await Promise.all([...users, ...users].map(id => text(app, '/a', id === undefined ? {} : { 'server.User': { id } })))
  expect(answers).toEqual(['for ann', 'for bob', 'for undefined', 'for ann', 'for bob', 'for undefined'])
})

test('requests that waited run by themselves where the answer is not kept or the first one fails', async () => {
  let runs = 0
  const app = new App({ logger: false }).use(cache()).use(async () => {
    await Promise.resolve()
    return `n${++runs}`
  })
  expect(new Set(await Promise.all(Array.from({ length: 5 }, () => text(app, '/a')))).size).toBe(5)
  let failures = 0
  const failing = new App({ logger: false }).use(cache({ ttl: 60 })).use(async () => {
    await Promise.resolve()
    if (failures++ === 0) throw new Error('first')
    return 'x'
  })
  const statuses = await Promise.all(Array.from({ length: 3 }, async () => (await failing.invoke({ 'iopa.Path': '/a' })).status))
  expect(statuses).toEqual([500, 200, 200])
})

test('does not keep what a GET has read before a change, nor gives it to who comes after', async () => {
  let state = 'old'
  const first = gate()
  const app = new App().use(cache({ ttl: 60 })).use(router())
  let runs = 0
  app.get('/a', async () => {
    const read = state
    if (++runs === 1) await first.opened
    return read
  })
  const early = text(app, '/a')
  const waiting = text(app, '/a')
  await expect.poll(() => runs).toBe(1)
  state = 'new'
  app.notify('/a')
  expect(await text(app, '/a')).toBe('new')
  first.open()
  expect(await early).toBe('old')
  expect(await waiting).toBe('new')
  expect([await text(app, '/a'), runs]).toEqual(['new', 2])
})

test('gives the old answer to others while one request gets a new one', async () => {
  const clock = virtualClock()
  let runs = 0
  let refreshing = gate()
  const app = new App({ clock }).use(cache({ ttl: 10, stale: 20 })).use(async () => {
    const count = ++runs
    if (count > 1) await refreshing.opened
    return `n${count}`
  })
  expect(await text(app, '/a')).toBe('n1')
  await clock.advance(15_000)
  const refresh = text(app, '/a')
  expect(await text(app, '/a')).toBe('n1')
  refreshing.open()
  expect(await refresh).toBe('n2')
  expect(await text(app, '/a')).toBe('n2')
  await clock.advance(31_000)
  refreshing = gate()
  const late = [text(app, '/a'), text(app, '/a')]
  refreshing.open()
  expect(await Promise.all(late)).toEqual(['n3', 'n3'])
})

test('observers and their notifications never get a kept answer, and share a run', async () => {
  let state = 0
  let runs = 0
  const app = new App().use(cache({ ttl: 60 })).use(router())
  app.get('/n', () => {
    runs++
    return `n${state}`
  })
  expect(await text(app, '/n')).toBe('n0')
  state = 1
  const controller = new AbortController()
  const last: string[] = []
  const readers = Array.from({ length: 1000 }, async (_, at) => {
    for await (const answer of app.observe('/n', { signal: controller.signal })) last[at] = await answer.text()
  })
  await expect.poll(() => Object.keys(last).length).toBe(1000)
  expect(new Set(last)).toEqual(new Set(['n1']))
  state = 2
  app.notify('/n')
  await expect.poll(() => new Set(last)).toEqual(new Set(['n2']))
  expect(runs).toBe(1002)
  expect(await text(app, '/n')).toBe('n2')
  controller.abort()
  await Promise.all(readers)
})

test('a change is judged by the present state, not by a kept one', async () => {
  let version = 1
  const app = new App().use(cache({ ttl: 60 })).use(router())
  app.get('/a', () => reply(200, 'x', { etag: `"${version}"` }))
  app.put('/a', () => undefined)
  await text(app, '/a')
  version = 2
  const put = async (tag: string) => (await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a', 'iopa.Headers': { 'if-match': tag } })).status
  expect(await put('"1"')).toBe(412)
  expect(await put('"2"')).toBe(204)
})
