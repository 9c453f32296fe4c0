import { App, IopaError } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { at, collection, isProblem, resource, resources } from '../src/index.ts'

const light = resource('/homes/{home}/lights/{id}', {
  state: z.object({ on: z.boolean(), level: z.number().default(0) }),
  computed: { href: z.string() },
  methods: {
    get: {
      query: z.object({ unit: z.enum(['lm', 'lx']).optional(), tag: z.array(z.string()).optional() }),
      headers: z.object({ 'x-key': z.string().optional() })
    },
    put: { errors: { 'light-busy': { status: 409 } } },
    patch: {},
    delete: {},
    post: { input: z.object({ seconds: z.number() }), answer: z.object({ job: z.string() }) },
    fetch: { input: z.object({ member: z.string() }), answer: z.number() }
  }
})
const lights = collection(light, '/homes/{home}/lights', { create: true, filter: ['on'] })
const house = resource('/house', { state: z.string().nullable(), methods: { get: {}, put: {} } })

let wrong: unknown
const states = new Map<string, { on: boolean; level: number }>()
const seen: unknown[] = []
let title: string | null = 'House'
const inner = new App({ logger: false }).use(router()).use(resources({ answers: 'trust' }))
inner.serve(light, {
  get: ({ params, query, headers }) => {
    seen.push({ ...query }, headers['x-key'])
    const state = states.get(`${params.home}/${params.id}`)
    return wrong !== undefined ? (wrong as never) : state && { ...state, href: '/' }
  },
  put: ({ params, input }) => {
    if (params.id === 'busy') throw new IopaError(409, 'light-busy', 'Wait.')
    states.set(`${params.home}/${params.id}`, input)
    return undefined
  },
  delete: ({ params }) => void states.delete(`${params.home}/${params.id}`),
  post: ({ input }) => ({ job: `fade in ${input.seconds}` }),
  fetch: ({ input }) => input.member.length
})
inner.serve(lights, {
  get: ({ query }) => ({ items: [{ id: 'hall', state: { on: query.on === 'true', level: query.limit, href: '/' } }] }),
  post: ({ input }) => ({ id: 'new', state: { ...input, href: '/' } })
})
inner.serve(house, {
  get: () => title,
  put: ({ input }) => {
    title = input
    return input
  }
})
const app = new App({ logger: false }).mount('/api', inner).use(http({ port: 0 }))

let url = ''
beforeAll(async () => {
  url = String((await app.listen())[0]?.url)
})
afterAll(() => app.close())

describe.each([
  ['over a client, below the path of its URL', () => app.connect(`${url}api`)],
  ['inside the process', async () => inner]
])('at %s', (_, targetOf) => {
  test('reads, puts, patches, posts and deletes', async () => {
    const hall = at(await targetOf(), light, { home: '1', id: 'hall' })
    expect(hall.path).toBe('/homes/1/lights/hall')
    expect(await hall.put({ on: true })).toBeUndefined()
    const state = await hall.get()
    expectTypeOf(state).toEqualTypeOf<{ on: boolean; level: number } & { readonly href: string }>()
    expect(state).toEqual({ on: true, level: 0, href: '/' })
    await hall.patch({ level: 4 })
    await hall.patch([{ op: 'test', path: '/level', value: 4 }])
    expect(await hall.post({ seconds: 2 })).toEqual({ job: 'fade in 2' })
    await hall.delete()
    await expect(hall.get()).rejects.toMatchObject({ status: 404, code: 'not-found' })
  })

  test('calls a method of another name', async () => {
    const hall = at(await targetOf(), light, { home: '1', id: 'hall' })
    expect(await hall.fetch({ member: 'level' })).toBe(5)
  })

  test('sends query and headers', async () => {
    states.set('1/hall', { on: true, level: 0 })
    seen.length = 0
    await at(await targetOf(), light, { home: '1', id: 'hall' }).get({ query: { unit: 'lx', tag: ['a', 'b&c'] }, headers: { 'x-key': 'k' } })
    expect(seen).toEqual([{ unit: 'lx', tag: ['a', 'b&c'] }, 'k'])
    const page = await at(await targetOf(), lights, { home: '1' }).get({ query: { on: true, limit: 7 } })
    expect(page.items[0]?.state).toEqual({ on: true, level: 7, href: '/' })
    expect(await at(await targetOf(), lights, { home: '1' }).post({ on: false })).toEqual({ id: 'new', state: { on: false, level: 0, href: '/' } })
  })

  test('sends text and null as JSON', async () => {
    const client = at(await targetOf(), house)
    expect(await client.put('a "b"')).toBe('a "b"')
    expect(await client.get()).toBe('a "b"')
    expect(await client.put(null)).toBeNull()
  })

  test('reads the tag of a version, and changes that version alone', async () => {
    const hall = at(await targetOf(), light, { home: '1', id: 'hall' })
    await hall.put({ on: true, level: 1 })
    const { state, etag = '' } = await hall.read()
    expect(state.level).toBe(1)
    expect(etag).toMatch(/^"/)
    await hall.put({ on: true, level: 2 }, { ifMatch: etag })
    await expect(hall.put({ on: true, level: 3 }, { ifMatch: etag })).rejects.toMatchObject({ code: 'precondition-failed' })
    await expect(hall.put({ on: true }, { ifNoneMatch: '*' })).rejects.toMatchObject({ status: 412 })
  })

  test('observes until the loop is left, the signal aborts or the server ends it', async () => {
    const target = await targetOf()
    const hall = at(target, light, { home: '1', id: 'hall' })
    await hall.put({ on: true, level: 1 })
    const levels: number[] = []
    for await (const { level } of hall.observe({ query: { unit: 'lm' }, timeout: 2000 })) {
      levels.push(level)
      if (level === 2) break
      await hall.put({ on: true, level: 2 })
    }
    expect(levels).toEqual([1, 2])
    const controller = new AbortController()
    const aborted = (async () => {
      for await (const _ of hall.observe({ signal: controller.signal })) controller.abort(new Error('enough'))
    })()
    await aborted.catch(error => expect(error.message).toBe('enough'))
    await hall.delete()
    await expect(hall.observe()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ status: 404 })
  })

  test('an answer of another shape is an error that names the pointer', async () => {
    const hall = at(await targetOf(), light, { home: '1', id: 'hall' })
    wrong = { on: 1, level: 2 }
    const error = await hall.get().catch(thrown => thrown)
    expect(error).toMatchObject({ status: 502, code: 'bad-answer', extensions: { errors: [{ pointer: '/on' }, { pointer: '/href' }] } })
    expect(error.message).toMatch(/^GET \/homes\/1\/lights\/hall was answered with a value that its contract refuses: \/on: /)
    await expect(hall.observe()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'bad-answer' })
    wrong = new Uint8Array([1, 2])
    await expect(hall.get()).rejects.toMatchObject({ code: 'bad-answer' })
    wrong = undefined
  })

  test('a problem is typed by its code', async () => {
    const busy = at(await targetOf(), light, { home: '1', id: 'busy' })
    const error: unknown = await busy.put({ on: true }).catch(thrown => thrown)
    if (!isProblem(light, error)) throw error
    expectTypeOf(error.code).toEqualTypeOf<'light-busy' | 'invalid-input' | 'precondition-failed' | 'not-found' | 'forbidden' | 'unauthorized'>()
    expect([error.code, error.status, error.detail]).toEqual(['light-busy', 409, 'Wait.'])
    const invalid: unknown = await busy.put({ on: 1 } as never).catch(thrown => thrown)
    expect(isProblem(light, invalid) && invalid.extensions?.errors).toMatchObject([{ pointer: '/on' }])
    expect(isProblem(light, new IopaError(409, 'other'))).toBe(false)
  })

  test('a signal and a timeout end a call', async () => {
    const hall = at(await targetOf(), light, { home: '1', id: 'hall' })
    await expect(hall.put({ on: true }, { signal: AbortSignal.abort(new Error('left')) })).rejects.toThrow('left')
    wrong = new Promise(() => undefined)
    await expect(hall.get({ timeout: 30 })).rejects.toMatchObject({ status: 504, code: 'timeout' })
    wrong = undefined
  })
})

test('refuses parameters that the path cannot have', () => {
  expect(() => at(inner, light, { home: '1', id: 'a/b' })).toThrow(/holds no slash/)
  // @ts-expect-error a parameter is missing
  expect(() => at(inner, light, { home: '1' })).toThrow(/'id' is missing/)
  // @ts-expect-error the parameters are missing
  expect(() => at(inner, light)).toThrow(/is missing/)
})
