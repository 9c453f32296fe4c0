// Every kind of value that a handler may answer with, or a client may send, and the bytes that it is on the wire.
import { PassThrough, Readable } from 'node:stream'
import { App, IopaError, reply } from '@iopa/appbuilder'

/** A value as it is on the wire. */
export interface Wire {
  readonly status?: number
  /** Text is UTF-8. */
  readonly bytes: string | Uint8Array | RegExp
  readonly type: string | RegExp
}

/** A kind of value. `make` gives a fresh one each time, since a stream is read once. */
export interface Kind {
  readonly name: string
  readonly make: () => unknown
  /** Makes a value that takes time, instead of `make`. */
  readonly prepare?: () => Promise<unknown>
  /** Null: one 500, whose log line holds `says`. */
  readonly wire: Wire | null
  readonly says?: RegExp
  /** HEAD takes nothing out of a generator, so it does not know the type, or that the chunks are none. */
  readonly unpulled?: true
  /** Where it is not the same as body, or as request: what is left out. */
  readonly only?: 'returned' | 'answer' | 'body'
}

const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json'
const OCTETS = 'application/octet-stream'
const FORM = /^application\/x-www-form-urlencoded(?:;\s?charset=utf-8)?$/i
const MULTIPART = /^multipart\/form-data; ?boundary=/

const text = (name: string, value: string): Kind => ({ name, make: () => value, wire: { bytes: value, type: TEXT } })
const json = (name: string, make: () => unknown, bytes: string): Kind => ({ name, make, wire: { bytes, type: JSON_TYPE } })
const octets = (name: string, make: () => unknown, ...bytes: number[]): Kind => ({
  name,
  make,
  wire: { bytes: Uint8Array.from(bytes), type: OCTETS }
})
const stream = (name: string, make: () => unknown, bytes: string): Kind => ({
  name,
  make,
  wire: { bytes, type: /^(?:application\/octet-stream|text\/plain.*)$/ }
})
const refused = (name: string, make: () => unknown, says: RegExp, only?: Kind['only']): Kind => ({
  name,
  make,
  wire: null,
  says,
  ...(only && { only })
})

const ABC = (): Uint8Array => Uint8Array.of(97, 98, 99)
const buffer = (...bytes: number[]): ArrayBuffer => Uint8Array.from(bytes).buffer
// The library of this TypeScript target does not know its second parameter.
type GrowingBuffer = new (length: number, options: { maxByteLength: number }) => ArrayBuffer
const shared = (...bytes: number[]): SharedArrayBuffer => {
  const memory = new SharedArrayBuffer(bytes.length)
  new Uint8Array(memory).set(bytes)
  return memory
}
const web = (...chunks: unknown[]): ReadableStream =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    }
  })
const form = (): FormData => {
  const data = new FormData()
  data.append('a', 'one')
  return data
}
const fileForm = (): FormData => {
  const data = new FormData()
  data.append('file', new File(['contents'], 'f.txt', { type: 'text/x-notes' }))
  return data
}
const cyclic = (): unknown => {
  const value: Record<string, unknown> = { a: 1 }
  value['self'] = value
  return value
}

class Light {
  on = true
  readonly #secret = 1
  get secret(): number {
    return this.#secret
  }
}

class Money {
  readonly #cents = 150
  toJSON(): unknown {
    return { amount: this.#cents / 100 }
  }
}

/** As drivers of databases give them: rows that are read one by one. */
class Cursor {
  *[Symbol.iterator](): Generator<{ id: number }> {
    yield { id: 1 }
    yield { id: 2 }
  }
}

/** A cursor that says its own JSON. */
class Rows extends Cursor {
  toJSON(): unknown {
    return { rows: [...this] }
  }
}

const destroyed = (): Readable => {
  const source = new Readable({ read: () => undefined })
  source.on('error', () => undefined)
  source.destroy()
  return source
}
const locked = (): ReadableStream => {
  const source = web('x')
  source.getReader()
  return source
}
const used = async (): Promise<ReadableStream> => {
  const source = web('x')
  for await (const _ of source as unknown as AsyncIterable<unknown>);
  return source
}
const usedResponse = async (): Promise<Response> => {
  const response = new Response('x')
  await response.text()
  return response
}

export const KINDS: readonly Kind[] = [
  text('a string', 'plain'),
  text('an empty string', ''),
  text('a string beyond ASCII', 'é € 😀'),
  text('a string of lines', 'one\ntwo\n'),
  text('a string that looks like JSON', '{"a":1}'),
  text('a long string', 'x'.repeat(5000)),

  octets('a Uint8Array', ABC, 97, 98, 99),
  octets('an empty Uint8Array', () => new Uint8Array(0)),
  octets('a Uint8Array that is not UTF-8', () => Uint8Array.of(0, 255, 254), 0, 255, 254),
  octets('bytes of line ends', () => Uint8Array.of(97, 13, 10, 13, 98), 97, 13, 10, 13, 98),
  octets('bytes that begin with a byte order mark', () => Uint8Array.of(0xef, 0xbb, 0xbf, 97), 0xef, 0xbb, 0xbf, 97),
  octets('a part of a Uint8Array', () => Uint8Array.of(1, 2, 3, 4).subarray(1, 3), 2, 3),
  octets('a Buffer', () => Buffer.from('abc'), 97, 98, 99),
  octets('a slice of a Buffer', () => Buffer.from('xabcx').subarray(1, 4), 97, 98, 99),
  octets('an ArrayBuffer', () => buffer(1, 2, 3), 1, 2, 3),
  octets('an empty ArrayBuffer', () => new ArrayBuffer(0)),
  octets('an ArrayBuffer that can grow', () => new (ArrayBuffer as unknown as GrowingBuffer)(3, { maxByteLength: 8 }), 0, 0, 0),
  octets('a SharedArrayBuffer', () => shared(1, 2, 3), 1, 2, 3),
  octets('a Uint8Array on shared memory', () => new Uint8Array(shared(4, 5, 6)), 4, 5, 6),
  octets('an Int8Array', () => Int8Array.of(1, -1), 1, 255),
  octets('a Uint8ClampedArray', () => Uint8ClampedArray.of(1, 300), 1, 255),
  octets('an Int16Array', () => Int16Array.of(1, 2), 1, 0, 2, 0),
  octets('a Uint16Array', () => Uint16Array.of(258), 2, 1),
  octets('a part of a Uint16Array', () => Uint16Array.of(1, 2, 3).subarray(1, 2), 2, 0),
  octets('an Int32Array', () => Int32Array.of(-1), 255, 255, 255, 255),
  octets('a Uint32Array', () => Uint32Array.of(1), 1, 0, 0, 0),
  octets('a Float32Array', () => Float32Array.of(1), 0, 0, 128, 63),
  octets('a Float64Array', () => Float64Array.of(1), 0, 0, 0, 0, 0, 0, 240, 63),
  octets('a BigInt64Array', () => BigInt64Array.of(1n), 1, 0, 0, 0, 0, 0, 0, 0),
  octets('a BigUint64Array', () => BigUint64Array.of(2n), 2, 0, 0, 0, 0, 0, 0, 0),
  octets('a DataView', () => new DataView(buffer(1, 2, 3)), 1, 2, 3),
  octets('a DataView of a part', () => new DataView(buffer(1, 2, 3, 4), 1, 2), 2, 3),

  { name: 'a Blob with a type', make: () => new Blob(['<a/>'], { type: 'application/xml' }), wire: { bytes: '<a/>', type: 'application/xml' } },
  octets('a Blob without a type', () => new Blob(['abc']), 97, 98, 99),
  { name: 'an empty Blob', make: () => new Blob([], { type: 'text/csv' }), wire: { bytes: '', type: 'text/csv' } },
  { name: 'a slice of a Blob', make: () => new Blob(['abcd']).slice(1, 3, 'text/csv'), wire: { bytes: 'bc', type: 'text/csv' } },
  {
    name: 'a Blob of bytes',
    make: () => new Blob([Uint8Array.of(0, 255)], { type: 'image/png' }),
    wire: { bytes: Uint8Array.of(0, 255), type: 'image/png' }
  },
  { name: 'a File', make: () => new File(['name\n'], 'a.csv', { type: 'text/csv' }), wire: { bytes: 'name\n', type: 'text/csv' } },
  octets('a File without a type', () => new File(['ab'], 'a.bin'), 97, 98),

  { name: 'a URLSearchParams', make: () => new URLSearchParams({ a: '1 2', b: 'é' }), wire: { bytes: 'a=1+2&b=%C3%A9', type: FORM } },
  { name: 'an empty URLSearchParams', make: () => new URLSearchParams(), wire: { bytes: '', type: FORM } },
  { name: 'a FormData', make: form, wire: { bytes: /name="a"\r\n\r\none\r\n/, type: MULTIPART } },
  {
    name: 'a FormData with a file',
    make: fileForm,
    wire: { bytes: /filename="f.txt"\r\nContent-Type: text\/x-notes\r\n\r\ncontents\r\n/i, type: MULTIPART }
  },

  { ...json('null', () => null, 'null'), only: 'answer' },
  json('true', () => true, 'true'),
  json('false', () => false, 'false'),
  json('zero', () => 0, '0'),
  json('a number', () => 1.5, '1.5'),
  json('an empty array', () => [], '[]'),
  json('an array of numbers', () => [1, 2], '[1,2]'),
  json('an array of strings', () => ['a', 'b'], '["a","b"]'),
  json('an empty object', () => ({}), '{}'),
  json('an object', () => ({ on: true, level: [1, { a: null }] }), '{"on":true,"level":[1,{"a":null}]}'),
  json('an object without a prototype', () => Object.assign(Object.create(null) as object, { a: 1 }), '{"a":1}'),
  json('a frozen object', () => Object.freeze({ a: 1 }), '{"a":1}'),
  json('a Date', () => new Date(0), '"1970-01-01T00:00:00.000Z"'),
  json('a URL', () => new URL('http://a/b'), '"http://a/b"'),
  json('an instance of a class', () => new Light(), '{"on":true}'),
  json('an instance with toJSON', () => new Money(), '{"amount":1.5}'),
  json('a Map', () => new Map([['a', 1]]), '[["a",1]]'),
  json('an empty Map', () => new Map(), '[]'),
  json('a Set of numbers', () => new Set([1, 2]), '[1,2]'),
  json('an empty Set', () => new Set(), '[]'),
  json('a cursor', () => new Cursor(), '[{"id":1},{"id":2}]'),
  json('a cursor with toJSON', () => new Rows(), '{"rows":[{"id":1},{"id":2}]}'),
  { ...json('the entries of a Map', () => new Map([['a', 1]]).entries(), '[["a",1]]'), unpulled: true },
  { ...json('the values of an array', () => [1, 2].values(), '[1,2]'), unpulled: true },
  {
    ...json(
      'a generator of objects',
      function* () {
        yield { a: 1 }
        yield { a: 2 }
      },
      '[{"a":1},{"a":2}]'
    ),
    unpulled: true
  },
  json('web Headers', () => new Headers({ a: '1', b: '2' }), '[["a","1"],["b","2"]]'),

  stream(
    'an async generator of strings',
    async function* () {
      yield 'a'
      yield 'b'
    },
    'ab'
  ),
  stream(
    'an async generator of bytes',
    async function* () {
      yield ABC()
      yield Buffer.from('d')
    },
    'abcd'
  ),
  stream(
    'an async generator of both',
    async function* () {
      yield 'a'
      yield Uint8Array.of(98)
    },
    'ab'
  ),
  stream('an empty async generator', async function* () {}, ''),
  stream(
    'an async iterable object',
    () => ({
      [Symbol.asyncIterator]: async function* () {
        yield 'ab'
      }
    }),
    'ab'
  ),
  {
    ...stream(
      'a generator of strings',
      function* () {
        yield 'a'
        yield 'b'
      },
      'ab'
    ),
    unpulled: true
  },
  {
    ...stream(
      'a generator of bytes',
      function* () {
        yield ABC()
        yield ABC()
      },
      'abcabc'
    ),
    unpulled: true
  },
  stream('a web stream of bytes', () => web(ABC(), Uint8Array.of(100)), 'abcd'),
  stream('a web stream of strings', () => web('a', 'b'), 'ab'),
  stream('an empty web stream', () => web(), ''),
  stream('a transformed web stream', () => web('ab').pipeThrough(new TextEncoderStream()), 'ab'),
  stream('a Node stream of bytes', () => Readable.from([Buffer.from('ab'), Buffer.from('c')]), 'abc'),
  stream('a Node stream of strings', () => Readable.from(['a', 'b']), 'ab'),
  stream('an empty Node stream', () => Readable.from([]), ''),
  stream('a Node duplex', () => new PassThrough().end('ab'), 'ab'),
  stream('the body of a web Response', () => new Response('ab').body, 'ab'),
  stream('the stream of a Blob', () => new Blob(['ab']).stream(), 'ab'),
  stream(
    'a body of which parts can be read',
    () => ({
      size: 3,
      read: (start: number, end: number) => Promise.resolve(ABC().subarray(start, end)),
      async *[Symbol.asyncIterator]() {
        yield ABC()
      }
    }),
    'abc'
  ),

  { name: 'a web Response of text', make: () => new Response('x'), wire: { bytes: 'x', type: /^text\/plain/ }, only: 'answer' },
  {
    name: 'a web Response of JSON',
    make: () => Response.json({ a: 1 }, { status: 202 }),
    wire: { status: 202, bytes: '{"a":1}', type: JSON_TYPE },
    only: 'answer'
  },
  {
    name: 'reply() with a type',
    make: () => reply(200, 'a,b', { 'content-type': 'text/csv' }),
    wire: { bytes: 'a,b', type: 'text/csv' },
    only: 'returned'
  },
  {
    name: 'an object under the type of a codec',
    make: () => reply(200, { a: 1 }, { 'content-type': 'application/cbor' }),
    wire: { bytes: Uint8Array.of(0xa1, 0x61, 0x61, 1), type: 'application/cbor' },
    only: 'returned'
  },
  { name: 'a promise of an object', make: () => Promise.resolve({ a: 1 }), wire: { bytes: '{"a":1}', type: JSON_TYPE }, only: 'returned' },

  refused('a BigInt', () => 1n, /bigint/i),
  refused('an object with a BigInt', () => ({ id: 1n }), /bigint/i),
  refused('a cyclic object', cyclic, /circular|cycl/i),
  refused('a function', () => () => 1, /function/i),
  refused('a class', () => Light, /function|class/i),
  refused('a symbol', () => Symbol('x'), /symbol/i),
  refused('a web Request', () => new Request('http://a/'), /Request/),
  refused('a promise in a body', () => Promise.resolve(1), /promise/i, 'body'),
  refused(
    'an object whose toJSON throws',
    () => ({
      toJSON: () => {
        throw new Error('no toJSON today')
      }
    }),
    /no toJSON today/
  ),
  refused('an object whose toJSON gives nothing', () => ({ toJSON: () => undefined }), /JSON/),
  refused(
    'an object whose getter throws',
    () => ({
      get a() {
        throw new Error('no getter today')
      }
    }),
    /no getter today/
  ),
  refused('a locked web stream', locked, /lock|used/i),
  { ...refused('a web stream that was read', () => undefined, /used|disturbed|read|lock/i), prepare: used },
  refused('a Node stream that was destroyed', destroyed, /Readable|destroy|premature/i),
  { ...refused('a web Response that was read', () => undefined, /used|disturbed|read|lock/i, 'answer'), prepare: usedResponse },
  {
    ...refused(
      'an async generator of objects',
      async function* () {
        yield { a: 1 }
      },
      /bytes or strings|object|stream/i
    ),
    unpulled: true
  },
  refused('a WeakMap', () => new WeakMap(), /WeakMap/),
  refused('a RegExp', () => /x/, /RegExp/),
  refused('an app', () => new App({ logger: false }), /an instance of App/),
  refused('an Error', () => new Error('thrown by return'), /thrown by return/, 'returned'),
  {
    name: 'an IopaError',
    make: () => new IopaError(409, 'taken', 'Taken.'),
    wire: { status: 409, bytes: /taken/i, type: /problem\+json|^text\/plain|^$/ },
    only: 'returned'
  }
]
