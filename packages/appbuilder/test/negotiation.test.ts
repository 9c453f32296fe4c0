import { App, type Context, reply } from '@iopa/appbuilder'
import { valueType } from '@iopa/appbuilder/extension'
import type { Endpoint, OwnedContext } from '@iopa/context/host'
import { router } from '@iopa/router'
import type { Codec, Host, SealedAnswer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { turns } from './observation-support.ts'

/** Its text says which codec made it. */
const binary: Codec = {
  mediaType: 'application/cbor',
  encode: value => new TextEncoder().encode(`C${JSON.stringify(value)}`),
  decode: () => null
}
const isPack = (value: unknown): boolean => Array.isArray(value) && value[0] === 'pack'
const special: Codec = { mediaType: 'application/senml+json', takes: isPack, encode: value => `S${JSON.stringify(value)}`, decode: () => null }

const appOf = (handler: (context: Context) => unknown, codecs: readonly Codec[] = [binary, special]): App =>
  new App({ logger: false, codecs }).use(context => handler(context)) as unknown as App

const get = (accept?: string, scheme = 'http') => ({
  'iopa.Scheme': scheme,
  'iopa.Headers': accept === undefined ? {} : { accept }
})

describe('a value without a content type', () => {
  test.each([
    [undefined, 'application/json', '{"a":1}'],
    ['application/json', 'application/json', '{"a":1}'],
    ['*/*', 'application/json', '{"a":1}'],
    ['application/cbor', 'application/cbor', 'C{"a":1}'],
    ['application/cbor, application/json', 'application/json', '{"a":1}'],
    ['application/json;q=0.5, application/cbor', 'application/cbor', 'C{"a":1}'],
    ['application/*;q=0.5, application/json;q=0.1', 'application/cbor', 'C{"a":1}'],
    ['application/json;q=0, */*', 'application/cbor', 'C{"a":1}'],
    ['image/png', 'application/json', '{"a":1}'],
    ['application/senml+json', 'application/json', '{"a":1}']
  ])('is for accept %s of type %s', async (accept, type, text) => {
    const answer = await appOf(() => ({ a: 1 })).invoke(get(accept))
    expect([answer.status, answer.type, await answer.text(), answer.headers.get('vary')]).toEqual([200, type, text, 'accept'])
  })

  test('reads several Accept fields as one', async () => {
    const headers: [string, string][] = [
      ['accept', 'application/json;q=0.1'],
      ['accept', 'application/cbor']
    ]
    expect((await appOf(() => 1).invoke({ 'iopa.Headers': headers })).type).toBe('application/cbor')
  })

  test.each([
    ['null', () => null],
    ['a number', () => 1],
    ['a list', () => new Set([1])],
    ['an empty generator', function* () {}],
    [
      'a list in the scope of its handler',
      function* () {
        yield { a: 1 }
      }
    ],
    ['a body of a reply', () => reply(201, { a: 1 })],
    ['a problem of its own', () => reply(409, { a: 1 })]
  ])('is negotiated as %s', async (_, handler) => {
    expect((await appOf(handler).invoke(get('application/cbor'))).type).toBe('application/cbor')
  })

  test('is JSON, and says nothing of Accept, where the app has no other codec', async () => {
    const answer = await appOf(() => ({ a: 1 }), []).invoke(get('application/cbor'))
    expect([answer.type, answer.headers.has('vary')]).toEqual(['application/json', false])
  })

  test('that a special codec takes goes to that first', async () => {
    const typeFor = async (accept?: string): Promise<string> => (await appOf(() => ['pack']).invoke(get(accept))).type
    expect(await typeFor()).toBe('application/senml+json')
    expect(await typeFor('application/json')).toBe('application/json')
    expect(await typeFor('application/cbor')).toBe('application/cbor')
    expect(await typeFor('application/cbor;q=0.5, application/senml+json')).toBe('application/senml+json')
  })

  test.each([
    ['text', () => 'x', 'text/plain; charset=utf-8'],
    ['bytes', () => Uint8Array.of(1), 'application/octet-stream'],
    [
      'a stream',
      async function* () {
        yield 'x'
      },
      'application/octet-stream'
    ],
    [
      'a generator of text',
      function* () {
        yield 'x'
      },
      'application/octet-stream'
    ],
    ['a form', () => new URLSearchParams('a=1'), 'application/x-www-form-urlencoded;charset=UTF-8'],
    ['a value whose type is set', () => reply(200, { a: 1 }, { 'content-type': 'application/json' }), 'application/json'],
    ['a problem', () => reply(404), 'application/problem+json']
  ])('is not meant by %s', async (_, handler, type) => {
    const answer = await appOf(handler).invoke(get('application/cbor'))
    expect([answer.type, answer.headers.has('vary')]).toEqual([type, false])
  })

  test('adds to Vary where that does not name accept yet, and on HTTP alone', async () => {
    const vary = async (given: string | undefined, scheme?: string): Promise<readonly string[]> => {
      const handler = (): unknown => reply(200, { a: 1 }, given === undefined ? {} : { vary: given })
      return (await appOf(handler).invoke(get('application/cbor', scheme))).headers.getAll('vary')
    }
    expect(await vary('origin')).toEqual(['origin', 'accept'])
    expect(await vary('origin, Accept')).toEqual(['origin, Accept'])
    expect(await vary('*')).toEqual(['*'])
    expect(await vary('accept-encoding')).toEqual(['accept-encoding', 'accept'])
    expect(await vary(undefined, 'coap')).toEqual([])
  })

  test('reads before it is sent as it will be sent', async () => {
    const app = new App({ logger: false, codecs: [binary] })
      .use(async (context, next) => {
        await next()
        context.response.headers.set('x-read', await context.response.text())
      })
      .use(() => ({ a: 1 }))
    const answer = await app.invoke(get('application/cbor'))
    expect([answer.headers.get('x-read'), answer.type]).toEqual(['C{"a":1}', 'application/cbor'])
  })

  test('has a content tag of its own in each form, and Vary in a 304', async () => {
    const app = appOf(() => ({ a: 1 }))
    const ask = (accept: string, tag: string) => app.invoke({ ...get(accept), 'iopa.Headers': { accept, 'if-none-match': tag } })
    const [json, cbor] = await Promise.all([ask('application/json', '""'), ask('application/cbor', '""')])
    const tag = cbor.headers.get('etag') as string
    expect(json.headers.get('etag')).not.toBe(tag)
    const unchanged = await ask('application/cbor', tag)
    expect([unchanged.status, unchanged.headers.get('vary')]).toEqual([304, 'accept'])
    expect((await ask('application/json', tag)).status).toBe(200)
    const own = await appOf(() => reply(200, { a: 1 }, { etag: '"v1"' })).invoke({ ...get(), 'iopa.Headers': { 'if-none-match': '"v1"' } })
    expect([own.status, own.headers.get('vary')]).toEqual([304, 'accept'])
  })
})

describe('a precondition', () => {
  test('is about the representation in the type of the change, whatever the change accepts', async () => {
    const app = new App({ logger: false, codecs: [binary] }).use(router())
    app.get('/a', () => ({ a: 1 })).put('/a', () => reply(204))
    const tag = async (accept: string) =>
      (await app.invoke({ 'iopa.Path': '/a', 'iopa.Headers': { accept, 'if-none-match': '""' } })).headers.get('etag') as string
    const put = async (type: string, ifMatch: string, accept?: string): Promise<number> => {
      const headers = { 'content-type': type, 'if-match': ifMatch, ...(accept === undefined ? {} : { accept }) }
      return (await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a', 'iopa.Headers': headers, 'iopa.Body': Uint8Array.of(1) })).status
    }
    const [json, cbor] = [await tag('application/json'), await tag('application/cbor')]
    for (const accept of [undefined, 'application/json', 'application/cbor', 'application/json, */*;q=0.5']) {
      expect([accept, await put('application/cbor', cbor, accept), await put('application/cbor', json, accept)]).toEqual([accept, 204, 412])
      expect([accept, await put('application/json', json, accept), await put('application/json', cbor, accept)]).toEqual([accept, 204, 412])
    }
  })
})

describe('valueType', () => {
  test('is the type that the value gets', async () => {
    for (const accept of [undefined, 'application/json', 'application/cbor', 'application/senml+json', '*/*']) {
      for (const value of [{ a: 1 }, ['pack']]) {
        const answer = await appOf(context => {
          context.response.headers.set('x-type', valueType(context, value))
          return value
        }).invoke(get(accept))
        expect(answer.headers.get('x-type')).toBe(answer.type)
      }
    }
  })

  test('is the type that was set, and JSON where nothing else is', async () => {
    const set = await appOf(context => {
      context.response.type = 'text/csv'
      return valueType(context)
    }).invoke(get('application/cbor'))
    expect(await set.text()).toBe('text/csv')
    expect(await (await appOf(context => valueType(context), []).invoke(get('application/cbor'))).text()).toBe('application/json')
  })

  test('is that of the request within a mount', async () => {
    const inner = new App({ logger: false }).use(context => valueType(context))
    const outer = new App({ logger: false, codecs: [binary] }).mount('/in', inner)
    expect(await (await outer.invoke({ ...get('application/cbor'), 'iopa.Path': '/in/x' })).text()).toBe('application/cbor')
  })
})

const endpointOf = (scheme: string, session: string): Endpoint => ({
  scheme,
  protocol: 'TEST/1.0',
  remoteAddress: '10.0.0.1',
  remotePort: 1000,
  localAddress: '127.0.0.1',
  localPort: 1,
  tls: false,
  sessionId: session,
  rawTransport: null,
  bodyLimit: 1000
})

let sessions = 0

const arrive = (host: Host, scheme: string, accept: string | undefined): OwnedContext => {
  const source = { headers: () => (accept === undefined ? [] : ['accept', accept]) }
  const endpoint = endpointOf(scheme, `s${++sessions}`)
  const context = host.create({ method: 'GET', path: '/x', query: '', rawPath: '/x', endpoint, source })
  context['iopa.Observe'] = true
  return context
}

/** What observers with these Accept headers are told of a second change, and how many runs it took. */
const observed = async (handler: (context: Context) => unknown, observers: readonly (readonly [string, string | undefined])[]) => {
  let runs = 0
  const app = new App({ logger: false, codecs: [binary, special] })
  app.use(context => {
    runs++
    return handler(context)
  })
  const host = app.host()
  const told: SealedAnswer[] = []
  for (const [at, [scheme, accept]] of observers.entries()) {
    await host.observe(arrive(host, scheme, accept), answer => {
      told[at] = answer
    })
  }
  for (let change = 0; change < 2; change++) {
    runs = 0
    app.notify('/x')
    await turns(8)
  }
  await app.close({ timeout: 0 })
  return { runs, types: told.map(({ type }) => type) }
}

describe('observers of a value', () => {
  const JSON_TYPE = 'application/json'
  const CBOR = 'application/cbor'

  test('share one run for each media type, whatever they say beside', async () => {
    const observers = [
      ['mqtt', undefined],
      ['coap', 'application/json'],
      ['tcp', 'text/html, */*;q=0.5'],
      ['http', 'text/event-stream'],
      ['coap', 'application/cbor'],
      ['tcp', 'application/json;q=0.5, application/cbor'],
      ['coap', 'application/cbor;q=0.5, application/json;q=0.1'],
      ['tcp', 'application/json;q=0, */*'],
      ['tcp', 'application/*, application/json;q=0']
    ] as const
    const { runs, types } = await observed(() => ({ a: 1 }), observers)
    expect(types).toEqual([JSON_TYPE, JSON_TYPE, JSON_TYPE, JSON_TYPE, CBOR, CBOR, CBOR, CBOR, CBOR])
    expect(runs).toBe(2)
  })

  test('share a run over all media types where the value is text', async () => {
    const { runs } = await observed(
      () => 'x',
      [
        ['coap', 'application/cbor'],
        ['coap', undefined]
      ]
    )
    expect(runs).toBe(1)
  })

  test('share by media type where the handler asks for it', async () => {
    const observers = [
      ['coap', 'application/cbor'],
      ['coap', 'image/png'],
      ['coap', undefined]
    ] as const
    expect((await observed(context => valueType(context), observers)).runs).toBe(2)
    // The header itself is compared as it is.
    expect((await observed(context => String(context.headers.get('accept')), observers)).runs).toBe(3)
  })

  test('get text as server-sent events, from the first answer on', async () => {
    const { types } = await observed(
      () => ({ a: 1 }),
      [
        ['http', 'text/event-stream, application/cbor'],
        ['https', 'text/event-stream, application/json;q=0, */*']
      ]
    )
    expect(types).toEqual([JSON_TYPE, JSON_TYPE])
    const first: string[] = []
    const app = appOf(() => ({ a: 1 }))
    const host = app.host()
    await host.observe(arrive(host, 'http', 'text/event-stream, application/cbor'), answer => void first.push(answer.type))
    await app.close({ timeout: 0 })
    expect(first).toEqual([JSON_TYPE])
  })
})
