import { App } from '@iopa/appbuilder'
import { collection, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { store } from '../src/index.ts'
import { asking, light, lightsApp } from './support.ts'

describe('a store', () => {
  test('serves GET, PUT, PATCH and DELETE of a resource', async () => {
    const { app, ask } = lightsApp({ initial: { hall: { on: false } } })
    expect(await ask('GET', '/lights/hall')).toMatchObject({ status: 200, body: { on: false, level: 0 } })
    expect(await ask('GET', '/lights/attic')).toMatchObject({ status: 404, body: { code: 'not-found' } })
    expect(await ask('PATCH', '/lights/attic', { on: true })).toMatchObject({ status: 404, body: { code: 'not-found' } })
    expect(await ask('PUT', '/lights/attic', { on: true })).toMatchObject({ status: 201, body: { on: true, level: 0 } })
    expect(await ask('PUT', '/lights/attic', { on: true, level: 7 })).toMatchObject({ status: 200, body: { on: true, level: 7 } })
    expect(await ask('PATCH', '/lights/attic', { level: 9 })).toMatchObject({ status: 200, body: { on: true, level: 9 } })
    expect(await ask('PUT', '/lights/attic', { on: 1 })).toMatchObject({ status: 422 })
    expect(await ask('PATCH', '/lights/attic', { on: null })).toMatchObject({ status: 422 })
    expect(await ask('GET', '/lights/attic')).toMatchObject({ body: { on: true, level: 9 } })
    expect((await ask('DELETE', '/lights/attic')).status).toBe(204)
    for (const method of ['GET', 'DELETE'])
      expect(await ask(method, '/lights/attic')).toMatchObject({ status: 410, body: { code: 'document-deleted' } })
    expect((await ask('PUT', '/lights/attic', { on: true })).status).toBe(201)
    await app.close()
  })

  test('lets only the program create documents with create: false', async () => {
    const lights = store(light, { initial: { hall: { on: false } }, create: false })
    const app = new App({ logger: false }).use(router()).use(resources())
    app.serve(light, lights)
    const put = (path: string) => app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': path, 'iopa.Body': { on: true } })
    expect([(await put('/lights/hall')).status, (await put('/lights/attic')).status]).toEqual([200, 404])
    await lights.put('attic', { on: false })
    expect((await put('/lights/attic')).status).toBe(200)
    expect(() => app.serve(collection(light, '/lights', { create: true }), lights)).toThrow(/create: false/)
    await app.close()
  })

  test('is read and changed by the program, and tells observers', async () => {
    const { app, lights } = lightsApp({ initial: { hall: { on: false } } })
    const heard: unknown[] = []
    for await (const answer of app.observe('/lights/hall')) {
      heard.push(await answer.json())
      if (heard.length === 2) break
      await lights.put('hall', { on: true })
    }
    expect(heard).toEqual([
      { on: false, level: 0 },
      { on: true, level: 0 }
    ])
    const before = await lights.get('hall')
    expect(before).toMatchObject({ id: 'hall', state: { on: true, level: 0 } })
    await expect(lights.put('hall', { on: false }, { ifVersion: (before?.version ?? 0) - 1 })).rejects.toMatchObject({ status: 412 })
    await expect(lights.put('hall', { on: false }, { ifVersion: 0 })).rejects.toMatchObject({ status: 412 })
    expect(await lights.patch('hall', state => ({ ...state, level: 3 }))).toMatchObject({ state: { on: true, level: 3 } })
    await expect(lights.patch('attic', state => state)).rejects.toMatchObject({ status: 404 })
    await expect(lights.put('hall', { on: 1 as never })).rejects.toMatchObject({ status: 422 })
    await expect(lights.put('a/b', { on: true })).rejects.toMatchObject({ status: 400, code: 'bad-param' })
    await expect(lights.delete('attic', { ifVersion: 7 })).rejects.toMatchObject({ status: 412 })
    await lights.put('attic', { on: true }, { ifVersion: 0 })
    expect((await lights.list()).map(({ id }) => id)).toEqual(['attic', 'hall'])
    expect((await lights.list({ reverse: true, limit: 1 })).map(({ id }) => id)).toEqual(['hall'])
    expect((await lights.list({ after: 'attic' })).map(({ id }) => id)).toEqual(['hall'])
    expect(await lights.delete('hall')).toBe(true)
    expect(await lights.delete('hall')).toBe(false)
    await app.close()
  })

  test('gives states that nothing can change', async () => {
    const nested = resource('/rooms/{id}', { state: z.object({ lamps: z.array(z.unknown()) }), methods: { get: {} } })
    const rooms = store(nested)
    const given = { lamps: [{ on: true }] }
    await rooms.put('hall', given)
    ;(given.lamps[0] as { on: boolean }).on = false
    const state = (await rooms.get('hall'))?.state as { lamps: { on: boolean }[] }
    expect(state).toEqual({ lamps: [{ on: true }] })
    expect(() => Object.assign(state.lamps[0] as object, { on: false })).toThrow(TypeError)
    const circle: { lamps: unknown[] } = { lamps: [] }
    circle.lamps.push(circle)
    await expect(rooms.put('hall', circle)).rejects.toMatchObject({ status: 422 })
    await rooms.close()
    await expect(rooms.get('hall')).rejects.toMatchObject({ status: 503, code: 'closed' })
  })

  test('keeps a resource without parameters, and one with several', async () => {
    const settings = resource('/settings', { state: z.object({ theme: z.string() }), methods: { get: {}, put: {} } })
    const lamp = resource('/houses/{house}/lamps/{id}', { state: z.object({ on: z.boolean() }), methods: { get: {}, put: {} } })
    const app = new App({ logger: false }).use(router()).use(resources())
    const kept = store(settings)
    const lamps = store(lamp)
    app.serve(settings, kept).serve(lamp, lamps)
    const ask = asking(app)
    expect((await ask('GET', '/settings')).status).toBe(404)
    expect((await ask('PUT', '/settings', { theme: 'dark' })).status).toBe(201)
    expect(await kept.get('')).toMatchObject({ id: '', state: { theme: 'dark' } })
    await lamps.put({ house: 'a', id: 'x' }, { on: true })
    await ask('PUT', '/houses/b/lamps/x', { on: false })
    expect((await lamps.list()).map(({ id, state }) => [id, state])).toEqual([
      [{ house: 'a', id: 'x' }, { on: true }],
      [{ house: 'b', id: 'x' }, { on: false }]
    ])
    expect(await ask('GET', '/houses/a/lamps/x')).toMatchObject({ body: { on: true } })
    await expect(lamps.get('a' as never)).rejects.toMatchObject({ status: 400, code: 'bad-param' })
    await expect(lamps.get({ house: 'a' } as never)).rejects.toMatchObject({ status: 400, code: 'bad-param' })
    await app.close()
  })

  test('keeps ids of every kind apart, and refuses those that no path has', async () => {
    const thing = resource('/things/{id}', { state: z.object({ at: z.number() }), methods: { get: {}, put: {} } })
    const app = new App({ logger: false }).use(router()).use(resources())
    const things = store(thing)
    app.serve(thing, things)
    const ask = asking(app)
    const ids = ['__proto__', 'constructor', 'toString', 'é', 'e\u0301', '\u{1f4a1}', '%2F', ' ', '0', '-0', '..a', 'hasOwnProperty']
    for (const [at, id] of ids.entries()) expect((await ask('PUT', `/things/${id}`, { at })).status, id).toBe(201)
    for (const [at, id] of ids.entries()) expect(await ask('GET', `/things/${id}`), id).toMatchObject({ status: 200, body: { at } })
    expect((await things.list()).map(({ id }) => id)).toEqual([...ids].sort())
    for (const id of ['a/b', 'a\\b', '', '.', '..', 'a\0b', '\ud800', 'x'.repeat(2000)])
      await expect(things.put(id, { at: 0 }), JSON.stringify(id)).rejects.toSatisfy(error =>
        [400, 414].includes((error as { status: number }).status)
      )
    expect((await things.list()).length).toBe(ids.length)
    await app.close()
  })

  test('makes the computed members that its resource declares', async () => {
    const timer = resource('/timers/{id}', {
      state: z.object({ started: z.number() }),
      computed: { age: z.number(), name: z.string() },
      methods: { get: {}, put: {}, patch: {} }
    })
    const timers = store(timer, { computed: { age: ({ started }) => 100 - started, name: (_, { id, version }) => `${id} ${version > 0}` } })
    const app = new App({ logger: false }).use(router()).use(resources())
    app.serve(timer, timers)
    const ask = asking(app)
    const representation = { started: 10, age: 90, name: 'a true' }
    expect(await ask('PUT', '/timers/a', { started: 10, age: 7 })).toMatchObject({ status: 201, body: representation })
    expect(await ask('GET', '/timers/a')).toMatchObject({ status: 200, body: representation })
    expect(await ask('PUT', '/timers/a', representation)).toMatchObject({ status: 200, body: representation })
    expect(await ask('PATCH', '/timers/a', { started: 20, age: 3 })).toMatchObject({ status: 200, body: { started: 20, age: 80 } })
    expect((await timers.get('a'))?.state).toEqual({ started: 20 })
    expect(() => store(timer, { computed: { age: () => 1 } as never })).toThrow(/computed member 'name'/)
    expect(() => store(light, { computed: { age: () => 1 } as never })).toThrow(/declares no computed member 'age'/)
    await app.close()
  })

  test('takes handlers for methods of its resource that it does not serve itself', async () => {
    const lamp = resource('/lamps/{id}', {
      state: z.object({ on: z.boolean() }),
      methods: { get: {}, post: { input: z.object({ seconds: z.number() }), answer: z.object({ job: z.string() }) } }
    })
    const app = new App({ logger: false }).use(router()).use(resources())
    expect(() => app.serve(lamp, store(lamp))).toThrow(/does not serve POST of \/lamps\/{id}/)
    app.serve(lamp, store(lamp, { handlers: { post: ({ params, input }) => ({ job: `${params.id} ${input.seconds}` }) } }))
    expect(await asking(app)('POST', '/lamps/a', { seconds: 3 })).toMatchObject({ status: 200, body: { job: 'a 3' } })
    expect(() => app.serve(light, store(lamp) as never)).toThrow(/does not serve \/lights\/{id}/)
    await app.close()
  })

  test('refuses what is beyond its limits, and keeps what it has', async () => {
    const { app, ask, lights } = lightsApp({ limits: { documents: 2, documentBytes: 100, bytes: 150, tombstones: 1 } })
    const long = 'x'.repeat(60)
    expect((await ask('PUT', '/lights/a', { on: true, name: 'x'.repeat(200) })).status).toBe(413)
    expect((await ask('PUT', '/lights/a', { on: true })).status).toBe(201)
    expect((await ask('PUT', '/lights/b', { on: true })).status).toBe(201)
    expect(await ask('PUT', '/lights/c', { on: true })).toMatchObject({ status: 507, body: { code: 'storage-full' } })
    expect((await ask('PUT', '/lights/a', { on: true, name: long })).status).toBe(200)
    expect(await ask('PUT', '/lights/b', { on: true, name: long })).toMatchObject({ status: 507 })
    expect(await ask('GET', '/lights/b')).toMatchObject({ body: { on: true, level: 0 } })
    for (const id of ['a', 'b']) await lights.delete(id)
    expect((await ask('GET', '/lights/a')).status).toBe(404)
    expect((await ask('GET', '/lights/b')).status).toBe(410)
    expect(() => store(light, { limits: { documents: -1 } })).toThrow(/limit 'documents'/)
    expect(() => store(light, { limits: { documnts: 1 } as never })).toThrow(/no limit 'documnts'/)
    await app.close()
  })

  test('refuses an initial state that is not valid', () => {
    expect(() => store(light, { initial: { hall: { on: 1 as never } } })).toThrow(expect.objectContaining({ code: 'invalid-input' }))
  })
})
