import { AsyncLocalStorage } from 'node:async_hooks'
import { Buffer } from 'node:buffer'
import { EventEmitter } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { PassThrough, Readable, Transform, Writable } from 'node:stream'
import { runInNewContext } from 'node:vm'
import { App, type Context, IopaError, reply } from '@iopa/appbuilder'
import type { LinkAnswer } from '@iopa/context'
import { type Codec, HeaderMap } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

const storage = new AsyncLocalStorage<string>()
const TEXT = 'text/plain; charset=utf-8'
const BYTES = 'application/octet-stream'
const JSON_TYPE = 'application/json'
const bytes = (...values: number[]) => new Uint8Array(values)

async function* asynchronous(...chunks: unknown[]): AsyncGenerator {
  yield* chunks
}
function* synchronous(...items: unknown[]): Generator {
  yield* items
}
const shared = (): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(2)
  new Uint8Array(buffer).set([97, 98])
  return buffer
}
const web = (...chunks: unknown[]) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    }
  })
class Lamp {
  readonly #secret = 1
  readonly on = true
  get secret(): number {
    return this.#secret
  }
}
class Cursor {
  toJSON() {
    return { rows: 2 }
  }
  *[Symbol.iterator]() {
    yield 'a row'
  }
}
class Rows {
  *[Symbol.iterator]() {
    yield { id: 1 }
    yield { id: 2 }
  }
}
class Locked {
  readonly #value = 1
  get value(): number {
    return this.#value
  }
}

/** What every kind of value becomes: a function makes it, for some can be sent once. */
const KINDS: [name: string, make: () => unknown, type: string, text: string][] = [
  ['text', () => 'héllo', TEXT, 'héllo'],
  ['an empty text', () => '', TEXT, ''],
  ['a boxed text', () => new String('ab'), TEXT, 'ab'],
  ['a number', () => 5, JSON_TYPE, '5'],
  ['a boxed number', () => new Number(5), JSON_TYPE, '5'],
  ['zero', () => 0, JSON_TYPE, '0'],
  ['false', () => false, JSON_TYPE, 'false'],
  ['null', () => null, JSON_TYPE, 'null'],
  ['an object', () => ({ on: true }), JSON_TYPE, '{"on":true}'],
  ['an empty object', () => ({}), JSON_TYPE, '{}'],
  ['an object without a prototype', () => Object.create(null, { a: { value: 1, enumerable: true } }), JSON_TYPE, '{"a":1}'],
  ['an object of another realm', () => runInNewContext('({})'), JSON_TYPE, '{}'],
  ['an object with keys of a stream', () => ({ status: 1, headers: 2, size: 3 }), JSON_TYPE, '{"status":1,"headers":2,"size":3}'],
  ['an array', () => [1, { a: [] }], JSON_TYPE, '[1,{"a":[]}]'],
  ['an array of text', () => ['a', 'b'], JSON_TYPE, '["a","b"]'],
  ['an empty array', () => [], JSON_TYPE, '[]'],
  ['a date', () => new Date(0), JSON_TYPE, '"1970-01-01T00:00:00.000Z"'],
  ['a URL', () => new URL('http://a/b'), JSON_TYPE, '"http://a/b"'],
  ['an instance of a class', () => new Lamp(), JSON_TYPE, '{"on":true}'],
  ['a class with toJSON, which comes before its items', () => new Cursor(), JSON_TYPE, '{"rows":2}'],
  ['a Uint8Array', () => bytes(97, 98), BYTES, 'ab'],
  ['a Buffer', () => Buffer.from('ab'), BYTES, 'ab'],
  ['a slice of a Buffer', () => Buffer.from('xabx').subarray(1, 3), BYTES, 'ab'],
  ['a Uint8Array of another realm', () => runInNewContext('new Uint8Array([97, 98])'), BYTES, 'ab'],
  ['an ArrayBuffer', () => bytes(97, 98).buffer, BYTES, 'ab'],
  ['an ArrayBuffer of another realm', () => runInNewContext('new Uint8Array([97, 98]).buffer'), BYTES, 'ab'],
  ['a SharedArrayBuffer', shared, BYTES, 'ab'],
  ['a view of a SharedArrayBuffer', () => new Uint8Array(shared()), BYTES, 'ab'],
  ['a Uint16Array', () => new Uint16Array(bytes(97, 98).buffer), BYTES, 'ab'],
  ['a Float64Array', () => new Float64Array(bytes(...Array<number>(8).fill(97)).buffer), BYTES, 'aaaaaaaa'],
  ['a BigInt64Array', () => new BigInt64Array(bytes(...Array<number>(8).fill(97)).buffer), BYTES, 'aaaaaaaa'],
  ['a Uint8ClampedArray', () => new Uint8ClampedArray([97]), BYTES, 'a'],
  ['a DataView of a part', () => new DataView(bytes(120, 97, 98).buffer, 1), BYTES, 'ab'],
  ['a Blob', () => new Blob(['ab'], { type: 'text/css' }), 'text/css', 'ab'],
  ['a Blob without a type', () => new Blob(['ab']), BYTES, 'ab'],
  ['a File', () => new File(['ab'], 'a.csv', { type: 'text/csv' }), 'text/csv', 'ab'],
  ['URLSearchParams', () => new URLSearchParams({ a: 'b c', d: '&' }), 'application/x-www-form-urlencoded;charset=UTF-8', 'a=b+c&d=%26'],
  ['an async generator', () => asynchronous('a', bytes(98)), BYTES, 'ab'],
  ['an async generator of buffers and views', () => asynchronous(bytes(97).buffer, new DataView(bytes(98).buffer)), BYTES, 'ab'],
  ['an async generator of nothing', () => asynchronous(), BYTES, ''],
  ['an async iterable', () => ({ [Symbol.asyncIterator]: () => asynchronous('ab') }), BYTES, 'ab'],
  ['a web stream', () => web(bytes(97), 'b'), BYTES, 'ab'],
  ['a web stream through a transform', () => web('ab').pipeThrough(new TextEncoderStream()), BYTES, 'ab'],
  ['the stream of a Blob', () => new Blob(['ab']).stream(), BYTES, 'ab'],
  ['a Node stream', () => Readable.from([Buffer.from('a'), Buffer.from('b')]), BYTES, 'ab'],
  ['a Node stream of text', () => Readable.from(['a', 'b']), BYTES, 'ab'],
  ['a transform of Node', () => Readable.from(['ab']).pipe(new PassThrough()), BYTES, 'ab'],
  ['a generator of text', () => synchronous('a', 'b'), BYTES, 'ab'],
  ['a generator of bytes', () => synchronous(bytes(97), Buffer.from('b')), BYTES, 'ab'],
  ['a generator of promises of text', () => synchronous(Promise.resolve('a'), 'b'), BYTES, 'ab'],
  ['a Set of text', () => new Set(['a', 'b']), BYTES, 'ab'],
  ['the values of an array of bytes', () => [bytes(97), bytes(98)].values(), BYTES, 'ab'],
  ['a generator of objects', () => synchronous({ a: 1 }, { a: 2 }), JSON_TYPE, '[{"a":1},{"a":2}]'],
  ['a generator of numbers', () => synchronous(1, 2), JSON_TYPE, '[1,2]'],
  ['a generator of nothing', () => synchronous(), JSON_TYPE, '[]'],
  ['a Set of numbers', () => new Set([1, 2]), JSON_TYPE, '[1,2]'],
  ['an empty Set', () => new Set(), JSON_TYPE, '[]'],
  ['a Map', () => new Map([['a', 1]]), JSON_TYPE, '[["a",1]]'],
  ['an empty Map', () => new Map(), JSON_TYPE, '[]'],
  ['a class with items', () => new Rows(), JSON_TYPE, '[{"id":1},{"id":2}]'],
  ['web Headers', () => new Headers({ a: '1' }), JSON_TYPE, '[["a","1"]]'],
  ['a HeaderMap', () => HeaderMap.from({ a: ['1', '2'] }), JSON_TYPE, '[["a","1"],["a","2"]]'],
  ['a Map in an object', () => ({ lights: new Map([['a', 1]]), none: {} }), JSON_TYPE, '{"lights":[["a",1]],"none":{}}'],
  ['a Set in an array', () => [new Set(['a'])], JSON_TYPE, '[["a"]]'],
  ['URLSearchParams in an object', () => ({ query: new URLSearchParams('a=1') }), JSON_TYPE, '{"query":[["a","1"]]}'],
  ['a web Response', () => new Response('ab', { headers: { 'content-type': 'text/x' } }), 'text/x', 'ab'],
  ['a web Response of a form', () => new Response(new URLSearchParams('a=b')), 'application/x-www-form-urlencoded;charset=UTF-8', 'a=b'],
  ['a web Response of JSON', () => Response.json({ a: 1 }), JSON_TYPE, '{"a":1}'],
  ['a body of parts', () => ({ size: 2, read: async () => bytes(97, 98), [Symbol.asyncIterator]: () => asynchronous(bytes(97, 98)) }), BYTES, 'ab']
]

/** What cannot be sent, and what the log says of it. */
const UNSENDABLE: [name: string, make: () => unknown, word: RegExp][] = [
  ['a BigInt', () => 5n, /BigInt/],
  ['a BigInt in an object', () => ({ a: 5n }), /BigInt/],
  [
    'a cyclic value',
    () =>
      Object.assign(
        {},
        {
          get self() {
            return this
          }
        }
      ),
    /cyclic/
  ],
  ['a function', () => () => 1, /function/],
  ['a class', () => Lamp, /function/],
  ['a symbol', () => Symbol('x'), /symbol/],
  ['a Request', () => new Request('http://a/'), /Request/],
  ['a RegExp', () => /x/, /RegExp/],
  ['a WeakMap', () => new WeakMap(), /WeakMap/],
  ['an instance of a class that shows nothing', () => new Locked(), /Locked/],
  ['such an instance in an object', () => ({ a: new Locked() }), /Locked/],
  ['a Promise in an object', () => ({ lights: Promise.resolve([1]) }), /Promise/],
  ['a rejected Promise in an object', () => ({ lights: Promise.reject(new Error('late')) }), /Promise/],
  ['an AbortSignal', () => new AbortController().signal, /AbortSignal/],
  ['a TransformStream', () => new TransformStream(), /TransformStream/],
  ['a writable web stream', () => new WritableStream(), /WritableStream/],
  ['a writable stream of Node', () => new Writable(), /Writable/],
  ['an EventEmitter', () => new EventEmitter(), /EventEmitter/],
  ['an Error', () => new TypeError('what it says'), /what it says/],
  ['an Error of another realm', () => runInNewContext('new Error("what it says")'), /what it says/],
  ['a DOMException', () => new DOMException('what it says'), /what it says/],
  ['a locked web stream', () => (stream => (stream.getReader(), stream))(web('a')), /ReadableStream.*locked/],
  [
    'a web stream that has been read',
    async () => {
      const stream = web('a')
      const reader = stream.getReader()
      while (!(await reader.read()).done);
      reader.releaseLock()
      return stream
    },
    /ReadableStream.*read/
  ],
  [
    'a Node stream that has been read',
    async () => {
      const stream = Readable.from(['a'])
      await stream.toArray()
      return stream
    },
    /Readable.*read/
  ],
  ['a Node stream that has been destroyed', () => new Readable({ read() {} }).destroy(), /Readable.*read/],
  [
    'a web Response that has been read',
    async () => {
      const response = new Response('a')
      await response.text()
      return response
    },
    /Response.*read/
  ],
  ['an async generator of objects', () => asynchronous({ a: 1 }), /bytes or strings/],
  ['a generator of text and objects', () => synchronous('a', { a: 1 }), /bytes or strings/],
  [
    'a generator without end',
    () =>
      (function* () {
        for (;;) yield 1
      })(),
    /more than 1000000 items/
  ],
  [
    'a toJSON that throws',
    () => ({
      toJSON() {
        throw new Error('from toJSON')
      }
    }),
    /from toJSON/
  ],
  [
    'a toJSON that says nothing',
    () =>
      new (class {
        toJSON() {}
      })(),
    /no JSON form/
  ]
]

const WAYS: [name: string, send: (context: Context, value: unknown) => unknown][] = [
  ['returned', (_, value) => value],
  ['in reply()', (_, value) => reply(200, value)],
  ['set as response.body', (context, value) => void (context.response.body = value)],
  ['assigned to context.response', (context, value) => void ((context as { response: unknown }).response = value)]
]

const appOf = (handle: (context: Context) => unknown) => {
  const errors: unknown[][] = []
  const logger = { error: (...data: unknown[]) => void errors.push(data), warn() {}, info() {}, debug() {} }
  return { app: new App({ logger }).use(handle), errors }
}
const get = { 'iopa.Method': 'GET', 'iopa.Path': '/lamp' }

describe.each(WAYS)('a value %s', (_, send) => {
  test.each(KINDS)('%s', async (_, make, type, text) => {
    const { app, errors } = appOf(async context => send(context, await make()))
    const answer = await app.invoke(get)
    expect([answer.status, answer.type, await answer.text()]).toEqual([200, type, text])
    expect(errors).toEqual([])
  })

  test('FormData', async () => {
    const form = new FormData()
    form.append('a', 'b')
    form.append('file', new File(['x'], 'x.txt'))
    const { app } = appOf(context => send(context, form))
    const answer = await app.invoke(get)
    const read = await new Response((await answer.bytes()) as Uint8Array<ArrayBuffer>, { headers: { 'content-type': answer.type } }).formData()
    expect([read.get('a'), (read.get('file') as File).name]).toEqual(['b', 'x.txt'])
  })

  test.each(UNSENDABLE)('%s is one 500 whose log names it and the route', async (_, make, word) => {
    const values = [await make()]
    const { app, errors } = appOf(context => send(context, values.pop()))
    const answer = await app.invoke(get)
    const text = await answer.text().catch((error: Error) => error.message)
    if (answer.status === 200) expect(text).toMatch(word)
    else {
      expect([answer.status, JSON.parse(text).code]).toEqual([500, 'internal-error'])
      expect(errors).toHaveLength(1)
      const line = (errors[0] as unknown[]).map(String).join(' ')
      expect(line).toContain('GET /lamp')
      expect(line).toMatch(word)
    }
  })
})

describe('a value', () => {
  test('that is a promise inside reply() is a 500, and its rejection is observed', async () => {
    const { app, errors } = appOf(() => reply(200, Promise.reject(new Error('late'))))
    expect((await app.invoke(get)).status).toBe(500)
    expect(String(errors[0]?.[1])).toMatch(/Promise.*await/)
  })

  test('with a stated type is encoded for it', async () => {
    const typed = async (type: string, value: unknown) => {
      const answer = await appOf(context => ((context.response.type = type), value)).app.invoke(get)
      return [answer.status, await answer.text()]
    }
    expect(await typed('text/plain', { a: 1 })).toEqual([200, '{"a":1}'])
    expect(await typed('application/ld+json', new URLSearchParams('a=1'))).toEqual([200, '[["a","1"]]'])
    expect(await typed('text/html', synchronous())).toEqual([200, ''])
    expect(await typed('text/html', synchronous('<b>'))).toEqual([200, '<b>'])
    expect(await typed('text/csv', 5)).toEqual([200, '5'])
    expect(await typed('text/html', new URLSearchParams('a=1'))).toEqual([200, 'a=1'])
    expect(await typed('application/vnd.api+json', { a: 1 })).toEqual([200, '{"a":1}'])
    for (const value of ['{"a":1}', Buffer.from('{"a":1}')]) expect(await typed('application/cbor', value)).toEqual([200, '{"a":1}'])
    expect(await typed('application/cbor', new Blob(['x']))).toEqual([200, 'x'])
  })

  test.each([
    ['application/cbor', { a: 1 }, /an object .*'application\/cbor'.*'codecs'/],
    ['application/senml+cbor', [{ n: 'x' }], /an Array .*senml\+cbor/],
    ['application/x-ndjson', [{ a: 1 }], /an Array .*ndjson/],
    ['text/html', { a: 1 }, /an object .*'text\/html'/],
    ['text/event-stream', new Map([['a', 1]]), /an Array .*event-stream/],
    ['application/xml', null, /null .*xml/],
    ['application/xml', 5, /a number .*xml/],
    ['image/png', new URLSearchParams('a=1'), /an Array .*image\/png/]
  ])('under the type %s, which has no codec, is a 500 that names both: %j', async (type, value, says) => {
    for (const set of [(c: Context) => (c.response.type = type), (c: Context) => c.response.headers.set('content-type', type)]) {
      const { app, errors } = appOf(context => (set(context), value))
      expect([(await app.invoke(get)).status, errors.length]).toEqual([500, 1])
      expect((errors[0] as unknown[]).map(String).join(' ')).toMatch(says)
    }
  })

  test.each<[string, (stream: Readable) => unknown]>([
    ['an object', stream => ({ a: { b: [stream] } })],
    ['a Map', stream => new Map([['a', stream]])],
    ['a cyclic object', stream => Object.defineProperty({ stream }, 'self', { get: () => ({ stream, more: 1n }), enumerable: true })],
    ['an object with a BigInt', stream => ({ a: 1n, stream })],
    ['a promise in reply()', stream => reply(200, Promise.resolve(stream))],
    ['a promise in an object', stream => ({ a: Promise.resolve(stream) })],
    ['a Response in an object', stream => ({ a: new Response(Readable.toWeb(stream) as ReadableStream<Uint8Array>) })],
    ['a reply with a status that is none', stream => reply(99, stream)],
    ['a chunk', stream => asynchronous(stream)],
    ['an item', stream => synchronous(stream)]
  ])('that holds a stream in %s is a 500, and the stream is destroyed', async (_, make) => {
    const stream = new Readable({ read() {} })
    const { app, errors } = appOf(() => make(stream))
    const answer = await app.invoke(get)
    expect([answer.status, (await answer.text()).includes('_events'), errors.length]).toEqual([500, false, 1])
    await new Promise(resolve => setImmediate(resolve))
    expect(stream.destroyed).toBe(true)
  })

  test('that holds an emitter of events shows nothing of it', async () => {
    expect((await appOf(() => ({ a: Object.assign(new EventEmitter(), { secret: 1 }) })).app.invoke(get)).status).toBe(500)
    const shown = Object.assign(new EventEmitter(), { toJSON: () => ({ on: true }) })
    expect(await (await appOf(() => ({ a: shown })).app.invoke(get)).text()).toBe('{"a":{"on":true}}')
    expect(await (await appOf(() => ({ _events: 1, on: 'x' })).app.invoke(get)).text()).toBe('{"_events":1,"on":"x"}')
  })

  test.each<[string, () => unknown]>([
    [
      'a generator',
      function* () {
        yield String(storage.getStore())
        yield String(storage.getStore())
      }
    ],
    [
      'an async generator',
      async function* () {
        yield String(storage.getStore())
        yield String(storage.getStore())
      }
    ],
    [
      'an iterable of values',
      () => ({
        *[Symbol.iterator]() {
          yield { at: storage.getStore() }
        }
      })
    ]
  ])('that is %s runs in the asynchronous context of its handler', async (_, make) => {
    for (const handler of [make, async () => (await null, make()), () => reply(200, make())]) {
      const app = new App({ logger: false }).use((_, next) => storage.run('request', next)).use(handler)
      expect(await (await storage.run('caller', () => app.invoke(get))).text()).toMatch(/^(?:requestrequest|\[{"at":"request"}\])$/)
    }
  })

  test('that is a stream is cancelled in the asynchronous context of its handler', async () => {
    const seen: unknown[] = []
    const stream = () => new ReadableStream({ cancel: () => void seen.push(storage.getStore()) }, { highWaterMark: 0 })
    const app = new App({ logger: false }).use((_, next) => storage.run('request', next)).use(() => reply(204, stream()))
    await storage.run('caller', () => app.invoke(get))
    expect(seen).toEqual(['request'])
  })

  test.each([
    ['text/plain; charset=utf-8', 'é€', 'c3a9e282ac'],
    ['text/plain; charset=us-ascii', 'e', '65'],
    ['text/html; charset=iso-8859-1', 'é', 'e9'],
    ['text/html; charset="windows-1252"', 'é', 'e9']
  ])('that is text is written in the charset of %s', async (type, value, expected) => {
    const answer = await appOf(() => reply(200, value, { 'content-type': type })).app.invoke(get)
    expect([answer.status, Buffer.from(await answer.bytes()).toString('hex'), await answer.text()]).toEqual([200, expected, value])
  })

  test.each([
    ['text/plain; charset=us-ascii', 'é'],
    ['text/plain; charset=iso-8859-1', '€'],
    ['text/plain; charset=utf-16', 'e'],
    ['application/json; charset=utf-16', { a: 1 }]
  ])('that is text and cannot be written in the charset of %s is a 500 that says so', async (type, value) => {
    const { app, errors } = appOf(() => reply(200, value, { 'content-type': type }))
    expect([(await app.invoke(get)).status, errors.length]).toEqual([500, 1])
    expect((errors[0] as unknown[]).map(String).join(' ')).toMatch(/charset.*UTF-8/)
  })

  test.each([
    ['methods', { on: () => 1 }],
    ['methods, within an object', { a: [{ on: () => 1 }] }],
    ['a symbol', { a: Symbol('x') }]
  ])('that is an object of nothing but %s is a 500', async (_, value) => {
    expect((await appOf(() => value).app.invoke(get)).status).toBe(500)
    expect(await (await appOf(() => ({ a: undefined })).app.invoke(get)).text()).toBe('{}')
  })

  test('is encoded by the codec that the app, or else its transport, has for the type', async () => {
    const codec = (name: string): Codec => ({ mediaType: 'application/cbor', encode: () => name, decode: () => name })
    const transport = { name: 'x', schemes: ['x'], codecs: [codec('transport')], listen: () => Promise.reject(), open: () => Promise.reject() }
    for (const [expected, codecs] of [
      ['transport', []],
      ['app', [codec('app')]]
    ] as const) {
      const app = new App({ logger: false, codecs }).use(transport).use(context => {
        context.response.type = 'application/cbor'
        return { a: 1 }
      })
      expect(await (await app.invoke(get)).text()).toBe(expected)
    }
  })

  test.each(['nonsense', 'text', '/', 'text/', 'text/html\r\nx: y', 'text/html; charset=ü', 'a b/c'])(
    'with %j, which is no media type, is a logged 500',
    async type => {
      for (const set of [(c: Context) => (c.response.type = type), (c: Context) => c.response.headers.set('content-type', type)]) {
        const { app, errors } = appOf(context => (set(context), 'x'))
        expect([(await app.invoke(get)).status, errors.length]).toEqual([500, 1])
      }
    }
  )

  test('fails as the stream failed, where it is an IopaError', async () => {
    expect((await appOf(() => reply(200, new IopaError(410, 'gone'))).app.invoke(get)).status).toBe(410)
    const { app } = appOf(context => {
      const failing = new Readable({ read() {} })
      context.response.body = failing
      failing.destroy(new IopaError(409, 'file-changed', 'Read it again.'))
    })
    const answer = await app.invoke(get)
    if (answer.status === 200) await expect(answer.bytes()).rejects.toMatchObject({ code: 'file-changed' })
    else expect(answer.status).toBe(409)
  })

  test.each([204, 205])('has no content with status %i', async status => {
    const stream = new PassThrough()
    const answer = await appOf(() => reply(status, stream, { 'content-length': '3' })).app.invoke(get)
    expect([answer.status, (answer as LinkAnswer).payload, answer.type, answer.headers.has('content-length'), stream.destroyed]).toEqual([
      status,
      null,
      '',
      false,
      true
    ])
  })

  test('has no body in a redirect with null', async () => {
    const answer = await appOf(() => reply(302, null, { location: '/b' })).app.invoke(get)
    expect([answer.status, (answer as LinkAnswer).payload, answer.type, answer.headers.get('location')]).toEqual([302, null, '', '/b'])
  })

  test('is not taken out of a generator for HEAD', async () => {
    let taken = 0
    function* rows() {
      taken++
      yield 'a'
    }
    async function* later() {
      taken++
      yield 'a'
    }
    for (const make of [rows, later]) {
      for (const method of ['HEAD', 'GET']) {
        const { app } = appOf(context => {
          // Middleware may run HEAD as GET.
          context.method = method
          return make()
        })
        const answer = await app.invoke({ ...get, 'iopa.Method': 'HEAD' })
        expect([answer.status, taken], method).toEqual([200, 0])
        await ((answer as LinkAnswer).payload as AsyncIterableIterator<Uint8Array>).return?.()
      }
    }
  })
})

describe('a stream of Node that fails, and is no body', () => {
  const none = () => createReadStream('/none/there')
  const cases: [string, number, () => unknown][] = [
    ['in an object', 500, () => ({ file: none() })],
    ['in an array', 500, () => [{ file: none() }]],
    ['in a Map', 500, () => new Map([['file', none()]])],
    [
      'with several listeners, in an object',
      500,
      () => ({
        file: none()
          .on('close', () => 1)
          .on('close', () => 2)
          .on('end', () => 3)
      })
    ],
    ['beside a cycle', 500, () => Object.assign([none()], { self: null }).map((file, _, all) => ({ file, all }))],
    ['beside a BigInt', 500, () => ({ big: 1n, file: none() })],
    ['in a reply that is dropped', 200, () => (reply(200, none()), 'x')],
    ['to write to', 500, () => createWriteStream('/none/there')],
    ['to write to, in a reply', 500, () => reply(200, createWriteStream('/none/there'))],
    ['to write to, as the body', 500, () => ({ to: createWriteStream('/none/there') })],
    ['of the old kind', 500, () => Object.assign(new EventEmitter(), { pipe: () => undefined })]
  ]
  test.each(cases)('ends no process and shows nothing of itself: %s', async (_, status, handler) => {
    const loose: unknown[] = []
    const heard = (error: unknown): void => void loose.push(error)
    process.on('uncaughtException', heard)
    try {
      const made: unknown[] = []
      const app = new App({ logger: false }).use(() => {
        const value = handler()
        made.push(value)
        return value
      })
      const answer = await app.invoke({})
      expect([answer.status, /fd|flags|_events/.test(await answer.text())]).toEqual([status, false])
      for (const value of made) if (value instanceof EventEmitter && !('destroy' in value)) value.emit('error', new Error('late'))
      await new Promise(resolve => setTimeout(resolve, 20))
      expect(loose).toEqual([])
    } finally {
      process.off('uncaughtException', heard)
    }
  })
})

describe('a web Response', () => {
  const upstream = (init: ResponseInit, url: string) => Object.defineProperty(new Response('ab', init), 'url', { value: url })

  test('sets its headers; only set-cookie adds', async () => {
    const response = new Response('x', {
      headers: [
        ['cache-control', 'no-store'],
        ['set-cookie', 'b=2'],
        ['set-cookie', 'c=3']
      ]
    })
    const { app } = appOf(async (context: Context) => {
      context.response.headers.set('cache-control', 'private')
      context.response.headers.append('set-cookie', 'a=1')
      return response
    })
    const answer = await app.invoke(get)
    expect([answer.headers.getAll('cache-control'), answer.headers.getAll('set-cookie')]).toEqual([['no-store'], ['a=1', 'b=2', 'c=3']])
  })

  test('in reply() keeps its headers and body, with the status and headers of the reply', async () => {
    const response = new Response('x', { status: 404, headers: { a: '1', b: '1', 'content-type': 'text/x' } })
    const answer = await appOf(() => reply(201, response, { b: '2' })).app.invoke(get)
    expect([answer.status, answer.type, answer.headers.get('a'), answer.headers.getAll('b'), await answer.text()]).toEqual([
      201,
      'text/x',
      '1',
      ['2'],
      'x'
    ])
  })

  test('as response.body gives its status where none is set', async () => {
    const make = () => new Response('x', { status: 404 })
    const { app } = appOf(context => void (context.response.body = make()))
    expect((await app.invoke(get)).status).toBe(404)
    const set = appOf(context => {
      context.response.status = 203
      context.response.body = make()
    })
    expect((await set.app.invoke(get)).status).toBe(203)
  })

  test('that fetch has decoded leaves its length and coding behind; one that the app has made keeps them', async () => {
    const init = {
      headers: { 'content-encoding': 'gzip', 'content-length': '99', connection: 'x-hop', 'x-hop': '1', 'transfer-encoding': 'chunked', etag: '"1"' }
    }
    const passed = await appOf(() => upstream(init, 'http://a/')).app.invoke(get)
    expect([...passed.headers].map(([name]) => name)).toEqual(['etag'])
    const made = await appOf(() => new Response('ab', init)).app.invoke(get)
    expect([...made.headers].map(([name]) => name).sort()).toEqual(['content-encoding', 'content-length', 'etag'])
  })

  test('takes its content-length with it when another body replaces it', async () => {
    const app = new App()
      .use(async (_, next) => {
        await next()
        return 'another'
      })
      .use(() => new Response('ab', { headers: { 'content-length': '2' } }))
    const answer = await app.invoke(get)
    expect([await answer.text(), answer.headers.has('content-length')]).toEqual(['another', false])
  })
})

describe('the answer', () => {
  test('tells middleware what will be sent, and leaves it readable', async () => {
    for (const [, make, type, text] of KINDS) {
      const seen: unknown[] = []
      const app = new App()
        .use(async (context, next) => {
          await next()
          seen.push(
            context.response.status,
            ...(await Promise.all([context.response.text(), context.response.bytes().then(read => Uint8Array.from(read))]))
          )
          seen.push(await context.response.text())
        })
        .use(() => make())
      const answer = await app.invoke(get)
      expect(seen).toEqual([200, text, new TextEncoder().encode(text), text])
      expect([answer.type, await answer.text()]).toEqual([type, text])
    }
  })

  test('gives its value to middleware, also that of a problem', async () => {
    const seen: unknown[] = []
    const app = (handle: () => unknown) =>
      new App({ logger: false })
        .use(async (context, next) => {
          await next()
          seen.push(context.response.status, await context.response.json())
        })
        .use(handle)
    await app(() => ({ on: true })).invoke(get)
    await app(() => reply(409)).invoke(get)
    await app(() => undefined).invoke(get)
    await app(() => undefined).invoke({ ...get, 'iopa.Method': 'PUT' })
    expect(seen).toMatchObject([200, { on: true }, 409, { status: 409 }, 404, { code: 'not-found' }, 204, undefined])
  })

  test('reads no more of a stream than the limit, and then it is a 500', async () => {
    const app = new App({ logger: false, limits: { body: 3 } })
      .use(async (context, next) => {
        await next()
        await context.response.text().catch(() => undefined)
      })
      .use(() => asynchronous('ab', 'cd'))
    expect((await app.invoke(get)).status).toBe(500)
  })

  test.each(WAYS)('takes no header edit of another answer, when a HeaderMap is %s', async (_, send) => {
    const COMMON = HeaderMap.from({ 'x-common': '1' })
    const frozen = HeaderMap.from({ 'x-common': '1' })
    frozen.freeze()
    for (const map of [COMMON, frozen]) {
      const app = new App()
        .use(async (context, next) => {
          await next()
          context.response.headers.append('set-cookie', `user=${context.query.get('user')}`)
        })
        .use(context => {
          context.response.headers = map
          return send(context, reply(200, 'x', map))
        })
      const answers = await Promise.all(['alice', 'bob'].map(user => app.invoke({ ...get, 'iopa.QueryString': `user=${user}` })))
      expect(answers.map(answer => answer.headers.getAll('set-cookie'))).toEqual([['user=alice'], ['user=bob']])
      expect([...map]).toEqual([['x-common', '1']])
    }
  })

  test('of a bag never edits the headers of its caller', async () => {
    const headers = HeaderMap.from({ a: '1' })
    const app = new App().use(context => {
      context.headers.set('a', '2')
      return context.headers.get('a')
    })
    expect(await (await app.invoke({ ...get, 'iopa.Headers': headers })).text()).toBe('2')
    expect([...headers]).toEqual([['a', '1']])
    headers.set('b', '3')
    expect(headers.size).toBe(2)
  })
})

describe('a stream', () => {
  const opened: Readable[] = []
  const open = () => {
    const stream = new Readable({ read() {} })
    opened.push(stream)
    return stream
  }
  const closed = async () => {
    await new Promise(resolve => setImmediate(resolve))
    return opened.splice(0).map(stream => stream.destroyed)
  }

  test('that another value replaces is destroyed when the scope ends', async () => {
    const app = new App()
      .use(async (_, next) => {
        await next()
        return 'another'
      })
      .use(() => open())
    await app.invoke(get)
    expect(await closed()).toEqual([true])
  })

  test('that a middleware wraps is read, and both are closed', async () => {
    const source = Readable.from(['a', 'b'])
    let wrapped = true
    const app = new App()
      .use(async (context, next) => {
        await next()
        const inner = context.response.body as Readable
        return inner
          .pipe(new Transform({ transform: (chunk, _, done) => done(null, String(chunk).toUpperCase()) }))
          .on('close', () => (wrapped = false))
      })
      .use(() => source)
    expect(await (await app.invoke(get)).text()).toBe('AB')
    await new Promise(resolve => setImmediate(resolve))
    expect([source.destroyed, wrapped]).toEqual([true, false])
  })

  test.each<[string, (context: Context) => unknown]>([
    ['given to an answer that fails', context => ((context.response.body = open()), Promise.reject(new Error('x')))],
    ['in a reply of 204', () => reply(204, open())],
    ['set twice', context => ((context.response.body = open()), open())],
    ['in a Response that is replaced', context => ((context.response.body = new Response(Readable.toWeb(open()) as ReadableStream<Uint8Array>)), 'x')]
  ])('%s is destroyed', async (_, handle) => {
    const { app } = appOf(handle)
    const answer = await app.invoke(get)
    if ((answer as LinkAnswer).isStream) await ((answer as LinkAnswer).payload as AsyncIterableIterator<Uint8Array>).return?.()
    expect((await closed()).every(Boolean)).toBe(true)
  })

  test('is cancelled once', async () => {
    let cancelled = 0
    const stream = new ReadableStream({ cancel: () => void cancelled++ })
    let returned = 0
    const iterable = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined), return: async () => (returned++, { done: true, value: 0 }) })
    }
    for (const body of [stream, iterable]) {
      const answer = await appOf(() => body).app.invoke(get)
      const iterator = (answer as LinkAnswer).payload as AsyncIterableIterator<Uint8Array>
      await iterator.return?.()
      await iterator.return?.()
    }
    expect([cancelled, returned]).toEqual([1, 1])
  })

  test('in a bag that no handler reads is destroyed', async () => {
    await new App().use(() => 'x').invoke({ ...get, 'iopa.Method': 'PUT', 'iopa.Body': open() })
    expect(await closed()).toEqual([true])
  })

  test('with an error that has no listener does not end the process', async () => {
    const failing = () => {
      const stream = open()
      setImmediate(() => stream.destroy(new Error('no such file')))
      return stream
    }
    const app = new App({ logger: false })
      .use(async (_, next) => {
        await next()
        return 'another'
      })
      .use(() => failing())
    await app.invoke(get)
    await new App().use(() => 'x').invoke({ ...get, 'iopa.Method': 'PUT', 'iopa.Body': failing() })
    const fork = new App({ logger: false }).use(context => {
      context.response.body = failing()
      throw new Error('x')
    })
    await fork.invoke(get)
    await new Promise(resolve => setTimeout(resolve, 5))
    expect(await closed()).toEqual([true, true, true])
  })
})
