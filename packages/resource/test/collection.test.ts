import { App, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { collection, resource, resources } from '../src/index.ts'

const light = resource('/homes/{home}/lights/{id}', {
  state: z.object({ on: z.boolean(), level: z.number().default(0), tags: z.array(z.string()).optional() }),
  computed: { href: z.string() },
  methods: { get: {}, put: {} }
})
const lights = collection(light, '/homes/{home}/lights', { create: true, page: 2, filter: ['on', 'href'], title: 'Lights' })

const serving = () => {
  const app = new App({ logger: false }).use(router()).use(resources())
  app.serve(lights, {
    get: ({ params, query }) => {
      expectTypeOf(params.home).toEqualTypeOf<string>()
      expectTypeOf(query.on).toEqualTypeOf<string | undefined>()
      expectTypeOf(query.limit).toEqualTypeOf<number>()
      return { items: [{ id: JSON.stringify(query), state: { on: true, level: 1, href: '/' } }], next: 'x' }
    },
    post: ({ params, input }) => {
      expectTypeOf(input.level).toEqualTypeOf<number>()
      return reply(201, { id: '7', state: { ...input, href: '/homes/1/lights/7' } }, { location: `/homes/${params.home}/lights/7` })
    }
  })
  return app
}

test('declares the item, its id, the page and the filter', () => {
  expect(lights.collection).toEqual({ item: light, id: 'id', create: true, page: 2, filter: ['on', 'href'] })
  expect(lights.pattern).toBe('/homes/{home}/lights')
  expect(Object.keys(lights.methods)).toEqual(['GET', 'POST'])
  expect(Object.keys(collection(light, '/homes/{home}/lights').methods)).toEqual(['GET'])
  expect(Object.isFrozen(lights)).toBe(true)
})

test('gives the query with its defaults and bounds', async () => {
  const app = serving()
  const get = async (query: string) => app.invoke({ 'iopa.Path': '/homes/1/lights', 'iopa.QueryString': query })
  const queryOf = async (query: string) => JSON.parse(((await (await get(query)).json()) as { items: { id: string }[] }).items[0]?.id ?? '')
  expect(await queryOf('')).toEqual({ limit: 2 })
  expect(await queryOf('limit=1&after=abc&on=true&unknown=1')).toEqual({ limit: 1, after: 'abc', on: 'true' })
  expect(await queryOf('limit=999')).toEqual({ limit: 2 })
  const refused = await get('limit=0&on=true&on=false')
  expect(refused.status).toBe(422)
  expect(await refused.json()).toMatchObject({
    errors: [
      { pointer: '/on', in: 'query' },
      { pointer: '/limit', in: 'query' }
    ]
  })
  await app.close()
})

test('creates an item by POST of its state', async () => {
  const app = serving()
  const created = await app.invoke({ 'iopa.Method': 'POST', 'iopa.Path': '/homes/1/lights', 'iopa.Body': { on: true } })
  expect(created.status).toBe(201)
  expect(created.headers.get('location')).toBe('/homes/1/lights/7')
  expect(await created.json()).toEqual({ id: '7', state: { on: true, level: 0, href: '/homes/1/lights/7' } })
  await app.close()
})

test('validates a page by the schema of its items', async () => {
  const validate = lights.methods.GET?.answer?.['~standard'].validate
  expect(validate?.({ items: [{ id: 'a', state: { on: true, href: '/' } }], next: 'b' })).toEqual({
    value: { items: [{ id: 'a', state: { on: true, level: 0, href: '/' } }], next: 'b' }
  })
  expect(validate?.({ items: [{ id: 1, state: { on: 2 } }] })).toMatchObject({
    issues: [{ path: ['items', 0, 'id'] }, { path: ['items', 0, 'state', 'on'] }, { path: ['items', 0, 'state', 'href'] }]
  })
})

test('has a JSON Schema', () => {
  const schema = lights.state?.['~standard'].jsonSchema?.output({ target: 'draft-2020-12' })
  expect(schema).toMatchObject({
    properties: {
      items: { items: { properties: { id: { type: 'string' }, state: { properties: { on: { type: 'boolean' }, href: { type: 'string' } } } } } }
    },
    required: ['items']
  })
})

test('refuses what cannot be a collection', () => {
  expect(() => collection(light, '/lights')).toThrow(/needs an item with one parameter more than its own/)
  expect(() => collection(light, '/rooms/{room}/lights')).toThrow(/has the parameter "room"/)
  expect(() => collection(light, '/homes/{home}/lights/{id}')).toThrow(/one parameter more/)
  expect(() => collection(light, '/homes/{home}/lights', { page: 0 })).toThrow(/page of 1 to 10000/)
  const odd = resource('/odd/{id}', { state: z.object({ limit: z.number() }), methods: { get: {} } })
  expect(() => collection(odd, '/odd', { filter: ['limit'] })).toThrow(/cannot filter by "limit"/)
  // @ts-expect-error a member that is none, or whose text does not say all
  collection(light, '/homes/{home}/lights', { filter: ['of', 'tags'] })
})
