import { App, defineMiddleware, IopaError } from '@iopa/appbuilder'
import { collection, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { store } from '../src/index.ts'
import { type Ask, allLights, asking, light, lightsApp } from './support.ts'

interface Page {
  readonly items: readonly { readonly id: string; readonly state: Record<string, unknown> }[]
  readonly next?: string
}

const idsOf = async (ask: Ask, path: string, headers: Record<string, string> = {}): Promise<string[]> => {
  const ids: string[] = []
  for (let after = ''; ; ) {
    const answer = await ask('GET', `${path}${path.includes('?') ? '&' : '?'}${after === '' ? '' : `after=${after}`}`, undefined, headers)
    expect(answer.status).toBe(200)
    const { items, next } = answer.body as Page
    ids.push(...items.map(({ id }) => id))
    if (next === undefined) return ids
    after = next
  }
}

describe('a collection of a store', () => {
  test('creates documents by POST, with ids in the order of time', async () => {
    const { app, ask, lights } = lightsApp()
    const created = await ask('POST', '/lights', { on: true })
    const { id } = created.body as { id: string }
    expect(created).toMatchObject({ status: 201, body: { state: { on: true, level: 0 } }, headers: { location: `/lights/${id}` } })
    expect(created.headers.etag).toBe((await ask('GET', `/lights/${id}`)).headers.etag)
    const ids = [id]
    for (let at = 0; at < 30; at++) {
      ids.push(((await ask('POST', '/lights', { on: false })).body as { id: string }).id)
      if (at % 10 === 0) await new Promise(resolve => setTimeout(resolve, 2))
    }
    expect(new Set(ids).size).toBe(31)
    expect((await lights.list()).map(document => document.id).slice(0, 2)).toContain(id)
    expect((await ask('POST', '/lights', { on: 1 })).status).toBe(422)
    expect(await lights.list()).toHaveLength(31)
    await app.close()
  })

  test('makes ids as the program says, and names one that its resource refuses', async () => {
    const numbered = resource('/jobs/{id}', {
      params: z.object({ id: z.coerce.number().int() }),
      state: z.object({ name: z.string() }),
      methods: { get: {}, put: {} }
    })
    const jobs = collection(numbered, '/jobs', { create: true })
    const serve = (newId?: () => string) => {
      const app = new App({ logger: false }).use(router()).use(resources())
      const kept = store(numbered, newId === undefined ? {} : { newId })
      app.serve(numbered, kept).serve(jobs, kept)
      return { app, ask: asking(app) }
    }
    let last = 0
    const one = serve(() => String(Math.floor(++last / 2) + 1))
    for (const id of ['1', '2', '3'])
      expect(await one.ask('POST', '/jobs', { name: 'x' })).toMatchObject({ status: 201, headers: { location: `/jobs/${id}` } })
    expect((await one.ask('GET', '/jobs/2')).status).toBe(200)
    await one.app.close()
    const other = serve()
    const refused = await other.ask('POST', '/jobs', { name: 'x' })
    expect(refused).toMatchObject({ status: 500, body: { code: 'internal-error' } })
    expect(refused.body).not.toHaveProperty('detail')
    await other.app.close()
    const same = serve(() => '7')
    expect((await same.ask('POST', '/jobs', { name: 'x' })).status).toBe(201)
    expect(await same.ask('POST', '/jobs', { name: 'x' })).toMatchObject({ status: 409, body: { code: 'document-exists' } })
    await same.app.close()
  })

  test('lists pages in the order of keys by cursors that survive changes', async () => {
    const { app, ask, lights } = lightsApp()
    const names = Array.from({ length: 35 }, (_, at) => `l${String((at * 13) % 35).padStart(2, '0')}`)
    for (const id of names) await lights.put(id, { on: true })
    expect(await idsOf(ask, '/lights')).toEqual([...names].sort())
    expect(await idsOf(ask, '/lights?limit=3')).toEqual([...names].sort())
    const first = (await ask('GET', '/lights')).body as Page
    expect(first.items).toHaveLength(10)
    // Also where the document of the cursor is gone, and others have come.
    await lights.delete('l09')
    await lights.put('l085', { on: true })
    await lights.put('l095', { on: true })
    const second = (await ask('GET', `/lights?after=${first.next}`)).body as Page
    expect(second.items.map(({ id }) => id).slice(0, 2)).toEqual(['l095', 'l10'])
    expect((await ask('GET', '/lights?limit=1000')).body).toMatchObject({ items: { length: 10 } })
    for (const query of ['after=', 'after=%21', 'after=_w', 'limit=0', 'limit=-1', 'limit=1.5', 'limit=x'])
      expect(await ask('GET', `/lights?${query}`), query).toMatchObject({ status: 422, body: { code: 'invalid-input' } })
    await app.close()
  })

  test('filters by members, compared as what they are', async () => {
    const { app, ask, lights } = lightsApp()
    await lights.put('a', { on: true, level: 5, name: '5' })
    await lights.put('b', { on: false, level: 50, name: 'true' })
    await lights.put('c', { on: true, level: 50 })
    expect(await idsOf(ask, '/lights?on=true')).toEqual(['a', 'c'])
    expect(await idsOf(ask, '/lights?on=false')).toEqual(['b'])
    expect(await idsOf(ask, '/lights?level=50')).toEqual(['b', 'c'])
    expect(await idsOf(ask, '/lights?level=5e1&on=true')).toEqual(['c'])
    expect(await idsOf(ask, '/lights?name=5')).toEqual(['a'])
    expect(await idsOf(ask, '/lights?name=true')).toEqual(['b'])
    for (const query of ['on=1', 'on=', 'level=', 'level=x', 'name=']) expect(await idsOf(ask, `/lights?${query}`), query).toEqual([])
    expect(await idsOf(ask, '/lights?other=1')).toEqual(['a', 'b', 'c'])
    await app.close()
  })

  test('goes on to the next page where a filter fits one document of many', async () => {
    const { app, ask, lights } = lightsApp()
    for (let at = 0; at < 10_500; at++) await lights.put(`l${String(at).padStart(5, '0')}`, { on: at === 10_499 })
    const first = (await ask('GET', '/lights?on=true')).body as Page
    expect(first).toMatchObject({ items: [], next: expect.any(String) })
    expect(await idsOf(ask, '/lights?on=true')).toEqual(['l10499'])
    await app.close()
  })

  test('lists the documents below its own parameters', async () => {
    const lamp = resource('/houses/{house}/lamps/{id}', { state: z.object({ on: z.boolean() }), methods: { get: {}, put: {} } })
    const ofHouse = collection(lamp, '/houses/{house}/lamps', { create: true, page: 2 })
    const byName = resource('/lamps/{id}/in/{house}', { state: z.object({ on: z.boolean() }), methods: { get: {}, put: {} } })
    const inHouse = collection(byName, '/in/{house}')
    const app = new App({ logger: false }).use(router()).use(resources())
    const lamps = store(lamp)
    const named = store(byName)
    app.serve(lamp, lamps).serve(ofHouse, lamps).serve(byName, named).serve(inHouse, named)
    const ask = asking(app)
    for (const house of ['a', 'ab', 'b'])
      for (const id of ['1', '2', '3']) {
        await lamps.put({ house, id }, { on: true })
        await named.put({ id, house }, { on: true })
      }
    for (const house of ['a', 'ab', 'b']) {
      expect(await idsOf(ask, `/houses/${house}/lamps`)).toEqual(['1', '2', '3'])
      expect(await idsOf(ask, `/in/${house}`)).toEqual(['1', '2', '3'])
    }
    expect(await idsOf(ask, '/houses/c/lamps')).toEqual([])
    const created = await ask('POST', '/houses/c/lamps', { on: true })
    expect(created.headers.location).toBe(`/houses/c/lamps/${(created.body as { id: string }).id}`)
    expect(await idsOf(ask, '/houses/c/lamps')).toHaveLength(1)
    await app.close()
  })

  test('notifies its observers of each change of a document, of requests and of the program', async () => {
    const { app, ask, lights } = lightsApp()
    const changes: (() => Promise<unknown>)[] = [
      () => ask('PUT', '/lights/a', { on: true }),
      () => ask('PATCH', '/lights/a', { on: false }),
      () => lights.put('b', { on: true }),
      () => ask('POST', '/lights', { on: true }),
      () => lights.delete('b'),
      () => ask('DELETE', '/lights/a')
    ]
    const counts: number[] = []
    for await (const answer of app.observe('/lights')) {
      counts.push(((await answer.json()) as Page).items.length)
      const change = changes.shift()
      if (change === undefined) break
      await change()
    }
    expect(counts).toEqual([0, 1, 1, 2, 3, 2, 1])
    await app.close()
  })

  test('runs once for many changes while its observer is slow', async () => {
    const { app, lights } = lightsApp()
    let heard = 0
    for await (const answer of app.observe('/lights')) {
      heard++
      if (((await answer.json()) as Page).items.length === 10) break
      await Promise.all(Array.from({ length: 200 }, (_, at) => lights.put(`l${at}`, { on: true })))
    }
    expect(heard).toBeLessThan(5)
    await app.close()
  })
})

const users: Record<string, readonly string[]> = { ada: ['a', 'b'], ben: ['b', 'c'] }

/** Authenticates by a header, and lets users GET their own lights. */
const guard = (asked: string[]) =>
  defineMiddleware({ name: 'guard', provides: ['server.User'], neutral: true }, (context, next) => {
    const name = context.headers.get('authorization')
    const own = name === undefined ? undefined : users[name]
    if (name === undefined || own === undefined) throw new IopaError(401, 'unauthorised', 'Say who you are.')
    context['server.User'] = { id: name, by: 'header' } as never
    const id = /^\/lights\/(.+)$/.exec(context.path)?.[1]
    if (id !== undefined) asked.push(`${name} ${id}`)
    if (id !== undefined && !own.includes(id)) throw new IopaError(403, 'forbidden', 'This is not yours.')
    return next()
  })

describe('a collection behind a guard', () => {
  const guarded = () => {
    const asked: string[] = []
    const lights = store(light, { initial: { a: { on: true }, b: { on: true }, c: { on: false } } })
    const app = new App({ logger: false }).use(guard(asked)).use(router()).use(resources())
    app.serve(light, lights).serve(allLights, lights)
    return { app, lights, asked, ask: asking(app) }
  }

  test('lists what the user may GET, and asks for each once', async () => {
    const { app, ask, asked } = guarded()
    expect(await idsOf(ask, '/lights', { authorization: 'ada' })).toEqual(['a', 'b'])
    expect(asked).toEqual(['ada a', 'ada b', 'ada c'])
    expect(await idsOf(ask, '/lights', { authorization: 'ben' })).toEqual(['b', 'c'])
    expect(await idsOf(ask, '/lights?on=false', { authorization: 'ben' })).toEqual(['c'])
    expect((await ask('GET', '/lights')).status).toBe(401)
    await app.close()
  })

  test('tells each observer of what it may GET', async () => {
    const { app, lights } = guarded()
    const heard: Record<string, string[][]> = { ada: [], ben: [] }
    const stop = new AbortController()
    const observing = Object.keys(heard).map(async name => {
      for await (const answer of app.observe('/lights', { headers: { authorization: name }, signal: stop.signal }))
        heard[name]?.push(((await answer.json()) as Page).items.map(({ id }) => id))
    })
    const settled = async (count: number): Promise<void> => {
      while (Object.values(heard).some(({ length }) => length < count)) await new Promise(resolve => setTimeout(resolve, 1))
    }
    await settled(1)
    await lights.delete('b')
    await settled(2)
    stop.abort()
    await Promise.all(observing)
    expect(heard).toEqual({ ada: [['a', 'b'], ['a']], ben: [['b', 'c'], ['c']] })
    await app.close()
  })

  test('shares a run among observers of one user', async () => {
    const { app, lights, asked } = guarded()
    let heard = 0
    const stop = new AbortController()
    const observing = Array.from({ length: 8 }, async () => {
      for await (const _ of app.observe('/lights', { headers: { authorization: 'ada' }, signal: stop.signal })) heard++
    })
    while (heard < 8) await new Promise(resolve => setTimeout(resolve, 1))
    asked.length = 0
    await lights.put('a', { on: false })
    while (heard < 16) await new Promise(resolve => setTimeout(resolve, 1))
    stop.abort()
    await Promise.all(observing)
    expect(asked.length).toBeLessThanOrEqual(6)
    await app.close()
  })

  test('asks as the user of the app around, in a mounted app', async () => {
    const lights = store(light, { initial: { a: { on: true }, b: { on: true }, c: { on: false } } })
    const inner = new App({ logger: false }).use(router()).use(resources())
    inner.serve(light, lights).serve(allLights, lights)
    const app = new App({ logger: false }).use(guard([])).mount('/', inner)
    expect(await idsOf(asking(app), '/lights', { authorization: 'ada' })).toEqual(['a', 'b'])
    await app.close()
  })
})
