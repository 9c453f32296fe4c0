import { describe, expect, it } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import type { Message } from '../src/codec/message.ts'
import { TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { decodeProblem } from '../src/formats/problem-details.ts'
import { LARGE, startEtsi } from './etsi-app.ts'
import { line, RawPeer, rawRequest } from './raw-peer.ts'

const code = (message: Message): string => formatCode(message.code)
const kind = (message: Message): string => `${['CON', 'NON', 'ACK', 'RST'][message.type]} ${code(message)}`
const text = (message: Message): string => Buffer.from(message.payload).toString()
const block = (num: number, more: boolean, szx: number): number => (num << 4) | (more ? 8 : 0) | szx

const withServer =
  (test: (peer: RawPeer, server: Awaited<ReturnType<typeof startEtsi>>) => Promise<void>, options: Parameters<typeof startEtsi>[0] = {}) =>
  async (): Promise<void> => {
    await using server = await startEtsi(options)
    const peer = await RawPeer.to(server.port)
    try {
      await test(peer, server)
      expect(server.app.live).toBe(0)
    } finally {
      peer.close()
    }
  }

describe('beyond ETSI: options', () => {
  for (const type of [TYPE.CON, TYPE.NON]) {
    it(
      `answers an unknown critical option 4.02 (${type === TYPE.CON ? 'CON' : 'NON'})`,
      withServer(async (peer, server) => {
        const answer = await peer.ask(CODE.GET, { type, path: '/test', options: [[2049, 'x']] })
        expect(kind(answer)).toBe(type === TYPE.CON ? 'ACK 4.02' : 'NON 4.02')
        expect(server.calls.size).toBe(0)
      })
    )
  }

  it(
    'ignores an unknown elective option',
    withServer(async peer => {
      expect(line(await peer.ask(CODE.GET, { path: '/test', options: [[2050, 'x']] }))).toBe('ACK 2.05 {tk} "test"')
    })
  )

  it(
    'takes an option whose length is out of range for one that it does not know: critical is 4.02, elective is ignored',
    withServer(async peer => {
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.ACCEPT, Buffer.alloc(3)]] }))).toBe('4.02')
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.IF_MATCH, Buffer.alloc(9)]] }))).toBe('4.02')
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.ETAG, Buffer.alloc(9)]] }))).toBe('2.05')
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.OBSERVE, Buffer.alloc(4)]] }))).toBe('2.05')
    })
  )

  it(
    'answers a second Accept 4.02, for it may stand once',
    withServer(async peer => {
      const answer = await peer.ask(CODE.GET, {
        path: '/test',
        options: [
          [OPTION.ACCEPT, 0],
          [OPTION.ACCEPT, 50]
        ]
      })
      expect(code(answer)).toBe('4.02')
    })
  )

  it(
    'names the option in concise problem details when they are accepted',
    withServer(async peer => {
      const answer = await peer.ask(CODE.GET, {
        path: '/test',
        options: [
          [OPTION.ACCEPT, 257],
          [2049, 'x']
        ]
      })
      expect([code(answer), answer.options.uint(OPTION.CONTENT_FORMAT)]).toEqual(['4.02', 257])
      expect(decodeProblem(answer.payload)).toMatchObject({ responseCode: CODE.BAD_OPTION, unprocessedOptions: [2049] })
    })
  )

  it(
    'does not forward: Proxy-Uri and Proxy-Scheme are answered 5.05',
    withServer(async peer => {
      expect(code(await peer.ask(CODE.GET, { options: [[OPTION.PROXY_URI, 'coap://example.org/']] }))).toBe('5.05')
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.PROXY_SCHEME, 'http']] }))).toBe('5.05')
    })
  )

  it(
    'tells a path with a trailing slash from one without',
    withServer(async peer => {
      expect(text(await peer.ask(CODE.GET, { path: '/slash' }))).toBe('without slash')
      expect(text(await peer.ask(CODE.GET, { path: '/slash/' }))).toBe('with slash')
    })
  )

  it(
    'refuses segments that are dots, hold a slash, or are not UTF-8',
    withServer(async peer => {
      for (const segment of ['..', '.', 'a/b', 'a\\b', 'a\0b', Buffer.from([0xff])]) {
        expect(code(await peer.ask(CODE.GET, { options: [[OPTION.URI_PATH, segment]] }))).toMatch(/^4\.0[02]$/)
      }
      expect(code(await peer.ask(CODE.GET, { path: '/path//x' }))).toBe('4.00')
    })
  )

  it(
    'says how long an answer is fresh, and when to try again',
    withServer(async peer => {
      expect((await peer.ask(CODE.GET, { path: '/max-age' })).options.uint(OPTION.MAX_AGE)).toBe(30)
      const busy = await peer.ask(CODE.GET, { path: '/busy' })
      expect([code(busy), busy.options.uint(OPTION.MAX_AGE)]).toEqual(['5.03', 7])
    })
  )

  it(
    'keeps back the classes of answers that No-Response names',
    withServer(async peer => {
      const none: [number, number] = [OPTION.NO_RESPONSE, 2]
      peer.send(rawRequest(CODE.PUT, { type: TYPE.NON, path: '/test', payload: 'x', options: [none] }))
      expect(await peer.beforePong()).toEqual([])
      peer.send(rawRequest(CODE.GET, { type: TYPE.NON, path: '/nowhere', options: [none] }))
      expect((await peer.beforePong()).map(kind)).toEqual(['NON 4.04'])
      // A confirmable one still gets its acknowledgement (RFC 7967 section 2.1).
      expect(kind(await peer.ask(CODE.PUT, { path: '/test', payload: 'x', options: [none] }))).toBe('ACK 0.00')
    })
  )
})

describe('beyond ETSI: methods and answers', () => {
  it(
    'answers an unknown method 4.05, in the type of the request',
    withServer(async peer => {
      expect(kind(await peer.ask(31, { path: '/test' }))).toBe('ACK 4.05')
      expect(kind(await peer.ask(31, { type: TYPE.NON, path: '/test' }))).toBe('NON 4.05')
    })
  )

  it(
    'answers a method that the resource does not have 4.05, to NON in a NON',
    withServer(async peer => {
      expect(kind(await peer.ask(CODE.POST, { path: '/validate', payload: 'x' }))).toBe('ACK 4.05')
      expect(kind(await peer.ask(CODE.POST, { type: TYPE.NON, path: '/validate', payload: 'x' }))).toBe('NON 4.05')
    })
  )

  it(
    'serves FETCH, PATCH and iPATCH',
    withServer(async peer => {
      expect(line(await peer.ask(CODE.FETCH, { path: '/etch', payload: 'a' }))).toBe('ACK 2.05 {tk} "fetched a"')
      expect(line(await peer.ask(CODE.PATCH, { path: '/etch', payload: 'b' }))).toBe('ACK 2.04 {tk} "patched b"')
      expect(line(await peer.ask(CODE.IPATCH, { path: '/etch', payload: 'c' }))).toBe('ACK 2.04 {tk} "ipatched c"')
    })
  )

  it(
    'maps media types both ways, and 4.15 what a handler cannot read',
    withServer(async peer => {
      const json = await peer.ask(CODE.GET, { path: '/json' })
      expect([code(json), json.options.uint(OPTION.CONTENT_FORMAT), text(json)]).toEqual(['2.05', 50, '{"on":true}'])
      const put = (format: number, payload: string) => peer.ask(CODE.PUT, { path: '/json', payload, options: [[OPTION.CONTENT_FORMAT, format]] })
      expect(code(await put(50, '{"a":1}'))).toBe('2.04')
      expect(code(await put(50, '{"a":'))).toBe('4.00')
      expect(code(await put(42, 'x'))).toBe('4.15')
    })
  )

  it(
    'lets nothing of the inside out with an error',
    withServer(async peer => {
      const plain = await peer.ask(CODE.GET, { path: '/fails' })
      expect(code(plain)).toBe('5.00')
      expect(text(plain)).not.toMatch(/secret|inside|\bat /)
      const concise = await peer.ask(CODE.GET, { path: '/fails', options: [[OPTION.ACCEPT, 257]] })
      expect([code(concise), concise.options.uint(OPTION.CONTENT_FORMAT)]).toEqual(['5.00', 257])
      expect(Buffer.from(concise.payload).toString('latin1')).not.toContain('secret')
      expect(decodeProblem(concise.payload)).toMatchObject({ responseCode: CODE.INTERNAL_SERVER_ERROR })
    })
  )

  it(
    'explains a missing resource in words that can be read as they are',
    withServer(async peer => {
      const missing = await peer.ask(CODE.GET, { path: '/nowhere' })
      expect(code(missing)).toBe('4.04')
      expect(missing.options.has(OPTION.CONTENT_FORMAT)).toBe(false)
      expect(text(missing)).toMatch(/^[\x20-\x7e]*$/)
    })
  )
})

describe('beyond ETSI: messages', () => {
  const SILENT: readonly (readonly [string, string])[] = [
    ['a malformed acknowledgement', '61451234'],
    ['a malformed reset', '7f001234ff'],
    ['a malformed non-confirmable message', '590112340102030405060708ff'],
    ['version 0', '00011234b474657374'],
    ['version 2', '80011234b474657374'],
    ['version 3', 'c0011234b474657374'],
    ['three bytes', '400112'],
    ['nothing', ''],
    ['an acknowledgement of nothing', '60001234'],
    ['a reset of nothing', '70001234'],
    ['a non-confirmable ping', '50001234']
  ]
  it.each(SILENT)('is silent at %s', (_, bytes) =>
    withServer(async peer => {
      peer.send(bytes)
      expect(await peer.beforePong()).toEqual([])
    })()
  )

  const REJECTED: readonly (readonly [string, string])[] = [
    ['a token length of 9', '49011234010203040506070809'],
    ['an option that ends too late', '40011234b5746573'],
    ['a marker without payload', '40011234b474657374ff'],
    ['an empty message with bytes behind it', '4000123401'],
    ['a reserved class', '40211234'],
    ['a response that nobody waits for', '42451234aabb']
  ]
  it.each(REJECTED)('resets a confirmable message with %s', (_, bytes) =>
    withServer(async peer => {
      peer.send(bytes)
      expect(Buffer.from(await peer.nextBytes()).toString('hex')).toBe('70001234')
    })()
  )

  it(
    'answers a repeated request from memory while its handler runs, and afterwards',
    withServer(async (peer, server) => {
      const request = rawRequest(CODE.POST, { path: '/separate', payload: 'x' })
      for (let i = 0; i < 3; i++) peer.send(request)
      const acknowledgement = await peer.next()
      expect(kind(acknowledgement)).toBe('ACK 0.00')
      peer.send(request)
      let answer = await peer.next()
      while (answer.code === CODE.EMPTY) answer = await peer.next()
      expect(kind(answer)).toBe('CON 2.04')
      peer.acknowledge(answer)
      peer.send(request)
      expect((await peer.beforePong()).map(kind)).not.toContain('CON 2.04')
      expect(server.calls.get('POST /separate')).toBe(1)
    })
  )

  it(
    'runs a repeated non-confirmable request once',
    withServer(async (peer, server) => {
      const request = rawRequest(CODE.POST, { type: TYPE.NON, path: '/test', payload: 'x' })
      for (let i = 0; i < 3; i++) peer.send(request)
      await peer.beforePong()
      expect(server.calls.get('POST /test')).toBe(1)
    })
  )

  it(
    'takes the same id from another port for another request',
    withServer(async (peer, server) => {
      const other = await RawPeer.to(server.port)
      const request = rawRequest(CODE.POST, { path: '/test', payload: 'x', id: 77 })
      peer.send(request)
      other.send(request)
      expect([kind(await peer.next()), kind(await other.next())]).toEqual(['ACK 2.01', 'ACK 2.01'])
      expect(server.calls.get('POST /test')).toBe(2)
      other.close()
    })
  )
})

describe('beyond ETSI: blocks', () => {
  it(
    'ignores the M bit of Block2 in a request',
    withServer(async peer => {
      const answer = await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, block(1, true, 2)]] })
      expect([code(answer), text(answer)]).toEqual(['2.05', LARGE.slice(64, 128)])
    })
  )

  it(
    'refuses the reserved block size 7 over UDP',
    withServer(async peer => {
      expect(code(await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, block(0, false, 7)]] }))).toMatch(/^4\.0[02]$/)
      expect(code(await peer.ask(CODE.PUT, { path: '/large-update', payload: 'x', options: [[OPTION.BLOCK1, block(0, true, 7)]] }))).toMatch(
        /^4\.0[02]$/
      )
    })
  )

  it(
    'refuses a block behind the end',
    withServer(async peer => {
      expect(code(await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, block(1000, false, 6)]] }))).toMatch(/^4\.0[02]$/)
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.BLOCK2, block(1, false, 6)]] }))).toMatch(/^4\.0[02]$/)
    })
  )

  it(
    'changes to smaller blocks in the middle when the client asks',
    withServer(async (peer, server) => {
      const first = await peer.ask(CODE.GET, { path: '/large', token: 'a', options: [[OPTION.BLOCK2, block(0, false, 5)]] })
      const second = await peer.ask(CODE.GET, { path: '/large', token: 'b', options: [[OPTION.BLOCK2, block(8, false, 2)]] })
      expect(text(first) + text(second)).toBe(LARGE.slice(0, 512 + 64))
      expect(second.options.get(OPTION.ETAG)).toEqual(first.options.get(OPTION.ETAG))
      expect(server.calls.get('GET /large')).toBe(1)
    })
  )

  it(
    'answers a gap in a body 4.08',
    withServer(async (peer, server) => {
      const put = (num: number, more: boolean) =>
        peer.ask(CODE.PUT, { path: '/large-update', payload: 'x'.repeat(16), options: [[OPTION.BLOCK1, block(num, more, 0)]] })
      expect(code(await put(0, true))).toBe('2.31')
      expect(code(await put(2, true))).toBe('4.08')
      expect(code(await put(7, false))).toBe('4.08')
      expect(server.calls.size).toBe(0)
    })
  )

  it(
    'begins a body anew at block 0',
    withServer(async (peer, server) => {
      const put = (num: number, more: boolean, payload: string) =>
        peer.ask(CODE.PUT, { path: '/large-update', payload, options: [[OPTION.BLOCK1, block(num, more, 0)]] })
      await put(0, true, 'a'.repeat(16))
      await put(1, true, 'a'.repeat(16))
      await put(0, true, 'b'.repeat(16))
      expect(code(await put(1, false, 'c'))).toBe('2.04')
      expect(server.bodies.get('/large-update')).toBe(`${'b'.repeat(16)}c`)
    })
  )

  it(
    'answers a body over the limit 4.13 with Size1, announced or grown',
    withServer(
      async (peer, server) => {
        const announced = await peer.ask(CODE.PUT, {
          path: '/large-update',
          payload: 'x'.repeat(1024),
          options: [
            [OPTION.BLOCK1, block(0, true, 6)],
            [OPTION.SIZE1, 1_000_000]
          ]
        })
        expect([code(announced), announced.options.uint(OPTION.SIZE1)]).toEqual(['4.13', 3000])
        const put = (num: number) =>
          peer.ask(CODE.PUT, { path: '/large-update', payload: 'x'.repeat(1024), options: [[OPTION.BLOCK1, block(num, true, 6)]] })
        expect([code(await put(0)), code(await put(1))]).toEqual(['2.31', '2.31'])
        const grown = await put(2)
        expect([code(grown), grown.options.uint(OPTION.SIZE1)]).toEqual(['4.13', 3000])
        expect(server.calls.size).toBe(0)
      },
      { body: 3000 }
    )
  )

  it(
    'keeps two bodies apart by their Request-Tag',
    withServer(async (peer, server) => {
      const put = (tag: string, num: number, more: boolean, payload: string) =>
        peer.ask(CODE.PUT, {
          path: '/large-update',
          payload,
          options: [
            [OPTION.BLOCK1, block(num, more, 0)],
            [OPTION.REQUEST_TAG, tag]
          ]
        })
      await put('one', 0, true, '1'.repeat(16))
      await put('two', 0, true, '2'.repeat(16))
      await put('one', 1, true, '1'.repeat(16))
      expect(code(await put('two', 1, false, 'two'))).toBe('2.04')
      expect(server.bodies.get('/large-update')).toBe(`${'2'.repeat(16)}two`)
      expect(code(await put('one', 2, false, 'one'))).toBe('2.04')
      expect(server.bodies.get('/large-update')).toBe(`${'1'.repeat(32)}one`)
    })
  )

  it(
    'keeps bodies from two peers apart',
    withServer(async (peer, server) => {
      const other = await RawPeer.to(server.port)
      const put = (from: RawPeer, num: number, more: boolean, payload: string) =>
        from.ask(CODE.PUT, { path: '/large-update', payload, options: [[OPTION.BLOCK1, block(num, more, 0)]] })
      await put(peer, 0, true, 'a'.repeat(16))
      expect(code(await put(other, 1, false, 'b'))).toBe('4.08')
      expect(code(await put(peer, 1, false, 'c'))).toBe('2.04')
      expect(server.bodies.get('/large-update')).toBe(`${'a'.repeat(16)}c`)
      other.close()
    })
  )
})
