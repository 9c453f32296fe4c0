import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { resource, resources } from '../src/index.ts'

const light = resource('/lights/{id}', {
  title: 'A light',
  params: z.object({ id: z.string().max(32) }),
  state: z.object({ on: z.boolean(), level: z.number().min(0).max(100).default(0) }),
  methods: { get: {}, put: {} }
})

test('serves a resource on three protocols, and refuses invalid input with a pointer', async () => {
  const lights = new Map<string, { on: boolean; level: number }>()
  const app = new App()
    .use(router())
    .use(resources())
    .use(http({ port: 0 }))
    .use(coap({ port: 0 }))
    .use(mqtt({ port: 0 }))
  app.serve(light, {
    get: ({ params }) => lights.get(params.id),
    put: ({ params, input }) => {
      lights.set(params.id, input)
      return input
    }
  })
  const urls = (await app.listen()).map(({ url }) => url)
  try {
    for (const url of urls) {
      const client = await app.connect(url)
      const put = await client.put('/lights/hall', { on: true })
      expect(put.ok, url.href).toBe(true)
      const got = await client.get('/lights/hall')
      expect(await got.json()).toEqual({ on: true, level: 0 })
      const refused = await client.put('/lights/hall', { on: 1, level: 700 })
      expect(refused.status, url.href).toBe(422)
      await client.close()
    }
    const refused = await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': { on: 1, level: 700 } })
    expect(await refused.json()).toMatchObject({
      code: 'invalid-input',
      errors: [{ pointer: '/on' }, { pointer: '/level' }]
    })
  } finally {
    await app.close()
  }
})

test('a route takes a schema for its input', async () => {
  const app = new App().use(router()).use(resources())
  app.put('/level', { input: z.object({ level: z.number() }) }, context => ({ got: context.input }))
  const answer = await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/level', 'iopa.Body': { level: 7, other: 1 } })
  expect(await answer.json()).toEqual({ got: { level: 7 } })
  await app.close()
})

test('a schema without resources() is refused', () => {
  const app = new App().use(router())
  expect(() => app.put('/level', { input: z.string() }, () => 'x')).toThrow(/app\.use\(resources\(\)\)/)
})
