import { App, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { cors } from '../src/index.ts'
import { ask, fieldsOf, observers, settle } from './support.ts'

const ORIGIN = 'https://app.example.com'
const options = { origin: ORIGIN, credentials: true, exposeHeaders: ['etag', 'x-total'] }
const ALLOWED = {
  'access-control-allow-origin': ORIGIN,
  'access-control-allow-credentials': 'true',
  'access-control-expose-headers': 'etag, x-total',
  vary: 'Origin'
}

describe('an answer', () => {
  test('says that the page may read it', async () => {
    const app = new App().use(cors(options)).use(() => 'hello')
    expect(fieldsOf(await ask(app, { origin: ORIGIN }))).toMatchObject(ALLOWED)
  })

  test.each([[{ origin: 'https://evil.com' }], [{}]])('to %j varies with the origin and allows nothing', async headers => {
    const app = new App().use(cors(options)).use(() => 'hello')
    const fields = fieldsOf(await ask(app, headers as Record<string, string>))
    expect(fields['vary']).toBe('Origin')
    expect(Object.keys(fields).filter(name => name.startsWith('access-control-'))).toEqual([])
  })

  test('for every origin does not vary with it', async () => {
    const app = new App().use(cors()).use(() => 'hello')
    const fields = fieldsOf(await ask(app, { origin: 'https://any.com' }))
    expect([fields['access-control-allow-origin'], fields['vary']]).toEqual(['*', undefined])
    expect(fieldsOf(await ask(app, {}))['access-control-allow-origin']).toBe('*')
  })

  // honojs/hono issues 2932 and 4471.
  test.each([
    ['set by the handler', 'Accept', 'Accept, Origin'],
    ['that names it already', 'accept, ORIGIN', 'accept, ORIGIN'],
    ['of everything', '*', '*']
  ])('keeps a Vary %s', async (_, vary, wanted) => {
    const app = new App().use(cors(options)).use(() => reply(200, 'hello', { vary }))
    expect(fieldsOf(await ask(app, { origin: ORIGIN }))['vary']).toBe(wanted)
  })

  // GHSA-q7jf-gf43-6x6p of hono: Vary of the request was reflected.
  test('does not have the Vary of the request', async () => {
    const app = new App().use(cors(options)).use(() => 'hello')
    expect(fieldsOf(await ask(app, { origin: ORIGIN, vary: 'X-Evil' }))['vary']).toBe('Origin')
  })

  test('that is a web Response has the fields, and each once', async () => {
    const app = new App().use(cors(options)).use(() => new Response('hello', { headers: { 'access-control-allow-origin': '*', vary: 'accept' } }))
    expect(fieldsOf(await ask(app, { origin: ORIGIN }))).toMatchObject({ ...ALLOWED, vary: 'accept, Origin' })
  })
})

// fastify/fastify-cors issue 2: an error without the fields is a mystery to the page.
describe('an error', () => {
  const app = new App({ logger: false }).use(cors(options)).use((context, next) => {
    switch (context.path) {
      case '/401':
        throw new IopaError(401, 'who', 'Log in.', { headers: { 'www-authenticate': 'Bearer' } })
      case '/500':
        throw new Error('secret')
      case '/late':
        return Promise.reject(new Error('secret'))
      case '/503':
        throw new IopaError(503, 'busy', 'Later.')
      default:
        return next()
    }
  })

  test.each([
    ['/401', 401],
    ['/404', 404],
    ['/500', 500],
    ['/late', 500],
    ['/503', 503]
  ])('at %s can be read by the page', async (path, status) => {
    const answer = await ask(app, { origin: ORIGIN }, { 'iopa.Path': path })
    expect([answer.status, fieldsOf(answer)]).toMatchObject([status, ALLOWED])
  })

  test('405 and 304 as well', async () => {
    const routed = new App({ logger: false }).use(cors(options)).use(router())
    routed.get('/n', () => reply(200, 'hello', { etag: '"1"' }))
    const wrong = await ask(routed, { origin: ORIGIN }, { 'iopa.Method': 'POST', 'iopa.Path': '/n' })
    expect([wrong.status, fieldsOf(wrong)]).toMatchObject([405, ALLOWED])
    const same = await ask(routed, { origin: ORIGIN, 'if-none-match': '"1"' }, { 'iopa.Path': '/n' })
    expect([same.status, fieldsOf(same)]).toMatchObject([304, ALLOWED])
  })
})

describe('observers', () => {
  test('1,000 of them from many origins share one run, and each has its own fields', async () => {
    let runs = 0
    const app = new App({ logger: false }).use(cors({ origin: 'https://*.example.com' })).use(() => `state ${++runs}`)
    const headers = Array.from({ length: 1000 }, (_, at) => ({ origin: at % 2 === 0 ? `https://a${at}.example.com` : 'https://evil.com' }))
    const { told, first } = await observers(app, headers)
    expect(first[998]!.headers.get('access-control-allow-origin')).toBe('https://a998.example.com')
    expect(first[999]!.headers.has('access-control-allow-origin')).toBe(false)
    expect(first[999]!.headers.get('vary')).toBe('Origin')
    runs = 0
    app.notify('/x')
    await settle()
    expect(runs).toBe(1)
    expect(new Set(told)).toEqual(new Set(['state 1']))
    await app.close()
  })
})

describe('on other protocols', () => {
  test.each(['coap', 'mqtt', 'tcp'])('%s has no fields, and OPTIONS passes on', async scheme => {
    const app = new App({ logger: false }).use(cors(options)).use(({ method }) => method)
    const headers = { origin: ORIGIN, 'access-control-request-method': 'PUT' }
    const answer = await app.invoke({ 'iopa.Scheme': scheme, 'iopa.Method': 'OPTIONS', 'iopa.Headers': headers })
    expect([await answer.text(), Object.keys(fieldsOf(answer))]).toEqual(['OPTIONS', []])
  })
})
