import { App, IopaError } from '@iopa/appbuilder'
import type { Schema } from '@iopa/appbuilder/extension'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { resource, resources } from '../src/index.ts'

const Light = z.object({ on: z.boolean(), level: z.number().min(0).max(100).default(0) })

const appOf = (logged: unknown[] = []) => {
  const error = (...line: unknown[]) => void logged.push(line)
  return new App({ logger: { error, warn: error, info() {}, debug() {} } }).use(router()).use(resources())
}

const asked: unknown[] = []
const lights = resource('/lights/{id}', {
  params: z.object({ id: z.coerce.number() }),
  state: Light,
  methods: {
    get: { query: z.object({ unit: z.enum(['lm', 'lx']).default('lm'), tag: z.array(z.string()).optional() }) },
    put: {},
    post: { input: z.object({ seconds: z.number() }), headers: z.object({ 'x-key': z.string() }), query: z.object({ n: z.coerce.number() }) },
    delete: {}
  }
})
const app = appOf()
app.serve(lights, {
  get: request => {
    asked.push(request.params, request.query, request.context.params)
    return { on: true, level: request.params.id }
  },
  put: ({ input }) => input,
  post: ({ input, query, headers }) => ({ got: [input, query, headers['x-key']] }),
  delete: ({ params, query, headers }) => ({ got: [params, query.get('a'), headers] })
})

const send = (method: string, path: string, more: object = {}) => app.invoke({ 'iopa.Method': method, 'iopa.Path': path, ...more })

describe('a resource', () => {
  test('gives its handler parsed params and query; those of the context stay text', async () => {
    const answer = await send('GET', '/lights/7', { 'iopa.QueryString': 'unit=lx&tag=a&tag=b' })
    expect(await answer.json()).toEqual({ on: true, level: 7 })
    expect(asked).toEqual([{ id: 7 }, { unit: 'lx', tag: ['a', 'b'] }, { id: '7' }])
  })

  test('names all faults of the first part that has one: params, query, headers, input', async () => {
    const post = async (path: string, query: string, headers: object, body: unknown) => {
      const answer = await send('POST', path, { 'iopa.QueryString': query, 'iopa.Headers': headers, 'iopa.Body': body })
      expect(answer.status).toBe(422)
      const { code, errors } = (await answer.json()) as { code: string; errors: { pointer: string; in?: string }[] }
      expect(code).toBe('invalid-input')
      return errors.map(fault => `${fault.in ?? 'body'} ${fault.pointer}`)
    }
    expect(await post('/lights/x', 'n=x', {}, {})).toEqual(['params /id'])
    expect(await post('/lights/1', 'n=x', {}, {})).toEqual(['query /n'])
    expect(await post('/lights/1', 'n=1', {}, {})).toEqual(['headers /x-key'])
    expect(await post('/lights/1', 'n=1', { 'x-key': 'k' }, {})).toEqual(['body /seconds'])
    const put = await send('PUT', '/lights/1', { 'iopa.Body': { on: 1, level: 700 } })
    expect(await put.json()).toMatchObject({ detail: expect.stringMatching(/^\/on: /), errors: [{ pointer: '/on' }, { pointer: '/level' }] })
    expect(
      await (await send('POST', '/lights/1', { 'iopa.QueryString': 'n=1', 'iopa.Headers': { 'x-key': 'k' }, 'iopa.Body': { seconds: 2 } })).json()
    ).toEqual({
      got: [{ seconds: 2 }, { n: 1 }, 'k']
    })
  })

  test('takes an empty body for no value', async () => {
    const answer = await send('PUT', '/lights/1')
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({ errors: [{ pointer: '' }] })
  })

  test('refuses a body that is no JSON, or of another type', async () => {
    expect((await send('PUT', '/lights/1', { 'iopa.Body': '{', 'iopa.ContentType': 'application/json' })).status).toBe(400)
    expect((await send('PUT', '/lights/1', { 'iopa.Body': 'on', 'iopa.ContentType': 'text/plain' })).status).toBe(415)
  })

  test('bounds the faults that it names', async () => {
    const many = appOf()
    const list = resource('/list', { state: z.array(z.number()), methods: { put: {} } })
    many.serve(list, { put: () => undefined })
    const answer = await many.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/list', 'iopa.Body': Array(5000).fill('x') })
    expect(((await answer.json()) as { errors: unknown[] }).errors).toHaveLength(64)
  })

  test('runs its middleware before validation, and its handler behind', async () => {
    const order: string[] = []
    const guarded = appOf()
    const one = resource('/one/{id}', { params: z.object({ id: z.string().refine(() => order.push('params')) }), methods: { get: {} } })
    guarded.serve(
      one,
      { get: () => order.push('handler') },
      {
        middleware: [
          (context, next) => {
            order.push('middleware')
            if (context.headers.get('authorization') === undefined) throw new IopaError(401, 'unauthorized')
            return next()
          }
        ]
      }
    )
    expect((await guarded.invoke({ 'iopa.Path': '/one/1' })).status).toBe(401)
    expect(order).toEqual(['middleware'])
    await guarded.invoke({ 'iopa.Path': '/one/1', 'iopa.Headers': { authorization: 'x' } })
    expect(order).toEqual(['middleware', 'middleware', 'params', 'handler'])
  })

  test('validates before it judges a precondition', async () => {
    const failing = { 'if-match': '"other"' }
    expect((await send('PUT', '/lights/1', { 'iopa.Headers': failing, 'iopa.Body': { on: 1 } })).status).toBe(422)
    expect((await send('PUT', '/lights/1', { 'iopa.Headers': failing, 'iopa.Body': { on: true } })).status).toBe(412)
  })

  test('leaves preconditions to its handlers where it says so', async () => {
    const own = appOf()
    const seen: unknown[] = []
    own.serve(
      resource('/own', { state: Light, methods: { get: {}, put: {} } }),
      { get: () => ({ on: true, level: 0 }), put: ({ headers, context }) => void seen.push(headers, context.headers.get('if-match')) },
      { preconditions: 'own' }
    )
    const put = await own.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/own', 'iopa.Headers': { 'if-match': '"other"' }, 'iopa.Body': { on: true } })
    expect([put.status, seen[1]]).toEqual([204, '"other"'])
  })

  test('decodes params that hold what looks like a slash once', async () => {
    const texts = appOf()
    texts.serve(resource('/text/{id}', { params: z.object({ id: z.string() }), methods: { get: {} } }), { get: ({ params }) => ({ id: params.id }) })
    expect(await (await texts.invoke({ 'iopa.Path': '/text/a%2Fb' })).json()).toEqual({ id: 'a%2Fb' })
  })

  test('calls a handler of a class with its this', async () => {
    class Lights {
      level = 5
      get() {
        return { on: true, level: this.level }
      }
    }
    const classy = appOf()
    classy.serve(resource('/light', { state: Light, methods: { get: {} } }), new Lights())
    expect(await (await classy.invoke({ 'iopa.Path': '/light' })).json()).toEqual({ on: true, level: 5 })
  })
})

describe('a schema', () => {
  const schemaOf = (check: (value: unknown) => unknown): Schema => ({ '~standard': { version: 1, vendor: 'test', validate: check as never } })
  const serving = (schema: Schema, logged: unknown[] = [], limits = {}) => {
    const own = new App({ limits, logger: { error: (...line: unknown[]) => void logged.push(line), warn() {}, info() {}, debug() {} } })
      .use(router())
      .use(resources())
    own.serve(resource('/x/{id}', { params: schema, state: schema, methods: { get: {}, put: {} } }), { get: () => 1, put: () => 1 })
    return own
  }

  test('may be asynchronous', async () => {
    const slow = appOf()
    const known = z.object({ id: z.string().refine(async id => id === 'known') })
    const seen: unknown[] = []
    slow.serve(resource('/s/{id}', { params: known, methods: { get: {} } }), { get: ({ params }) => ({ id: seen.push(params.id) }) })
    // zod validates asynchronously only when it is asked to; Standard Schema does.
    expect((await slow.invoke({ 'iopa.Path': '/s/known' })).status).toBe(200)
    expect((await slow.invoke({ 'iopa.Path': '/s/other' })).status).toBe(422)
    expect(seen).toEqual(['known'])
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('broken')
      }
    ],
    ['rejects', () => Promise.reject(new Error('broken'))]
  ])('that %s is a 500, logged with the resource and without telling the peer', async (_, check) => {
    const logged: unknown[] = []
    const answer = await serving(schemaOf(check), logged).invoke({ 'iopa.Path': '/x/1' })
    expect(answer.status).toBe(500)
    expect(await answer.text()).not.toMatch(/broken|schema/)
    expect(logged).toHaveLength(1)
    const [, error] = logged[0] as [string, Error]
    expect(error.message).toMatch(/GET \/x\/\{id\}: the params schema threw/)
    expect((error.cause as Error).message).toBe('broken')
  })

  test('that never settles is ended by the deadline of the request', async () => {
    const answer = await serving(
      schemaOf(() => new Promise(() => undefined)),
      [],
      { requestTimeout: 50 }
    ).invoke({ 'iopa.Path': '/x/1' })
    expect(answer.status).toBe(504)
  })

  test('that returns no Promise of this realm is awaited', async () => {
    const thenable = { then: (done: (value: unknown) => void) => done({ issues: [{ message: 'no' }] }) }
    expect((await serving(schemaOf(() => thenable)).invoke({ 'iopa.Path': '/x/1' })).status).toBe(422)
  })
})

describe('a plain route', () => {
  test('validates params, query, headers and input, and keeps params and query as they are', async () => {
    const plain = appOf()
    plain.put(
      '/plain/:id',
      {
        params: z.object({ id: z.coerce.number() }),
        query: z.object({ n: z.coerce.number() }),
        headers: z.object({ 'x-key': z.string() }),
        input: Light
      },
      ({ params, query, input }) => ({ id: params.id, n: query.get('n'), level: input.level })
    )
    const put = (path: string, query: string, headers: Record<string, string>, body: unknown) =>
      plain.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': path, 'iopa.QueryString': query, 'iopa.Headers': headers, 'iopa.Body': body })
    expect((await put('/plain/x', 'n=1', { 'x-key': 'k' }, { on: true })).status).toBe(422)
    expect((await put('/plain/1', 'n=x', { 'x-key': 'k' }, { on: true })).status).toBe(422)
    expect((await put('/plain/1', 'n=1', {}, { on: true })).status).toBe(422)
    expect((await put('/plain/1', 'n=1', { 'x-key': 'k' }, { on: 1 })).status).toBe(422)
    expect(await (await put('/plain/1', 'n=1', { 'x-key': 'k' }, { on: true })).json()).toEqual({ id: '1', n: '1', level: 0 })
  })

  test('has its answer checked', async () => {
    const plain = appOf()
    plain.get('/good', { answer: z.number() }, () => 7)
    plain.get('/bad', { answer: z.number() }, async () => 'seven')
    expect((await plain.invoke({ 'iopa.Path': '/good' })).status).toBe(200)
    expect((await plain.invoke({ 'iopa.Path': '/bad' })).status).toBe(500)
  })

  test('passes what its handler does not answer on', async () => {
    const plain = appOf()
    plain.put('/plain', { input: Light }, (_, next) => next())
    plain.use(context => ({ late: context.input }))
    expect(await (await plain.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/plain', 'iopa.Body': { on: true } })).json()).toEqual({
      late: { on: true, level: 0 }
    })
  })
})
