import { App } from '@iopa/appbuilder'
import { collection, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { store } from '../src/index.ts'

const light = resource('/lights/{id}', {
  params: z.object({ id: z.string().max(32) }),
  state: z.object({ on: z.boolean(), level: z.number().min(0).max(100).default(0) }),
  methods: { get: {}, put: {}, delete: {} }
})

const served = () => {
  const lights = store(light, { initial: { hall: { on: false } } })
  const app = new App({ logger: false }).use(router()).use(resources())
  app.serve(light, lights)
  const ask = async (method: string, path: string, body?: unknown) => {
    const answer = await app.invoke({
      'iopa.Method': method,
      'iopa.Path': path,
      ...(body === undefined ? undefined : { 'iopa.Body': body })
    } as never)
    const text = await answer.text()
    return { status: answer.status, etag: answer.headers.get('etag'), body: text === '' ? undefined : JSON.parse(text) }
  }
  return { app, lights, ask }
}

describe('a store', () => {
  test('serves GET, PUT and DELETE of a resource', async () => {
    const { app, ask } = served()
    expect(await ask('GET', '/lights/hall')).toMatchObject({ status: 200, body: { on: false, level: 0 } })
    expect(await ask('GET', '/lights/attic')).toMatchObject({ status: 404, body: { code: 'not-found' } })
    expect(await ask('PUT', '/lights/attic', { on: true })).toMatchObject({ status: 201, body: { on: true, level: 0 } })
    expect(await ask('PUT', '/lights/attic', { on: true, level: 7 })).toMatchObject({ status: 200, body: { on: true, level: 7 } })
    expect(await ask('PUT', '/lights/attic', { on: 1 })).toMatchObject({ status: 422 })
    expect((await ask('DELETE', '/lights/attic')).status).toBe(204)
    expect(await ask('GET', '/lights/attic')).toMatchObject({ status: 410, body: { code: 'document-deleted' } })
    expect((await ask('DELETE', '/lights/attic')).status).toBe(410)
    await app.close()
  })

  test('lets the program alone create documents, where it is told so', async () => {
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
    const { app, lights } = served()
    const heard: unknown[] = []
    const stop = new AbortController()
    const observing = (async () => {
      for await (const answer of app.observe('/lights/hall', { signal: stop.signal })) {
        heard.push(await answer.json())
        if (heard.length === 2) stop.abort()
        else await lights.put('hall', { on: true })
      }
    })()
    await observing
    expect(heard).toEqual([
      { on: false, level: 0 },
      { on: true, level: 0 }
    ])
    const before = await lights.get('hall')
    expect(before).toMatchObject({ id: 'hall', state: { on: true, level: 0 } })
    await expect(lights.put('hall', { on: false }, { ifVersion: (before?.version ?? 0) - 1 })).rejects.toMatchObject({ status: 412 })
    expect(await lights.patch('hall', state => ({ ...state, level: 3 }))).toMatchObject({ state: { on: true, level: 3 } })
    await expect(lights.put('hall', { on: 1 as never })).rejects.toMatchObject({ status: 422 })
    expect((await lights.list()).map(({ id }) => id)).toEqual(['hall'])
    expect(await lights.delete('hall')).toBe(true)
    expect(await lights.delete('hall')).toBe(false)
    await app.close()
  })
})
