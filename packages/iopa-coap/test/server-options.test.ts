import { App, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { decodeProblem } from '../src/formats/problem-details.ts'
import { line, RawPeer, rawRequest } from './raw-peer.ts'
import { code, kind, text, withServer } from './raw-peer-server.ts'

describe('options of a request to the server', () => {
  for (const type of [TYPE.CON, TYPE.NON]) {
    test(
      `answers an unknown critical option 4.02 (${type === TYPE.CON ? 'CON' : 'NON'})`,
      withServer(async (peer, server) => {
        const answer = await peer.ask(CODE.GET, { type, path: '/test', options: [[2049, 'x']] })
        expect(kind(answer)).toBe(type === TYPE.CON ? 'ACK 4.02' : 'NON 4.02')
        expect(server.calls.size).toBe(0)
      })
    )
  }

  test(
    'ignores an unknown elective option',
    withServer(async peer => {
      expect(line(await peer.ask(CODE.GET, { path: '/test', options: [[2050, 'x']] }))).toBe('ACK 2.05 {tk} "test"')
    })
  )

  test(
    'takes an option whose length is out of range for one that it does not know: critical is 4.02, elective is ignored',
    withServer(async peer => {
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.ACCEPT, Buffer.alloc(3)]] }))).toBe('4.02')
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.IF_MATCH, Buffer.alloc(9)]] }))).toBe('4.02')
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.ETAG, Buffer.alloc(9)]] }))).toBe('2.05')
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.OBSERVE, Buffer.alloc(4)]] }))).toBe('2.05')
    })
  )

  test('carries the headers idempotency-key and iopa-seen in options 65000 and 65004', async () => {
    const app = new App({ logger: false }).use(router()).use(coap({ port: 0 }))
    const seen: (string | undefined)[][] = []
    app.get('/headers', ({ headers }) => {
      seen.push([headers.get('idempotency-key'), headers.get('iopa-seen')])
      return reply(204)
    })
    const [listener] = await app.listen()
    const peer = await RawPeer.to(Number(listener?.url.port))
    const ask = (...options: [number, Uint8Array | string][]) => peer.ask(CODE.GET, { path: '/headers', options })
    await ask([OPTION.IDEMPOTENCY_KEY, 'k-1'], [OPTION.SEEN, '1cx'])
    await ask([OPTION.IDEMPOTENCY_KEY, 'two'], [OPTION.IDEMPOTENCY_KEY, 'keys'], [OPTION.SEEN, 'longer than 8'])
    await ask([OPTION.IDEMPOTENCY_KEY, 'line\r\nbreak'], [OPTION.SEEN, ''])
    await ask([OPTION.SEEN, Buffer.of(1, 2)])
    peer.close()
    const client = await app.connect(listener?.url as URL)
    await client.get('/headers', { headers: { 'idempotency-key': '"a key"', 'iopa-seen': '"1cx"' } })
    await client.close()
    await app.close({ timeout: 0 })
    expect(seen).toEqual([
      ['k-1', '"1cx"'],
      ['two', undefined],
      [undefined, undefined],
      [undefined, '"0102"'],
      ['a key', '"1cx"']
    ])
  })

  test(
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

  test(
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

  test(
    'does not forward: Proxy-Uri and Proxy-Scheme are answered 5.05',
    withServer(async peer => {
      expect(code(await peer.ask(CODE.GET, { options: [[OPTION.PROXY_URI, 'coap://example.org/']] }))).toBe('5.05')
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.PROXY_SCHEME, 'http']] }))).toBe('5.05')
    })
  )

  test(
    'tells a path with a trailing slash from one without',
    withServer(async peer => {
      expect(text(await peer.ask(CODE.GET, { path: '/slash' }))).toBe('without slash')
      expect(text(await peer.ask(CODE.GET, { path: '/slash/' }))).toBe('with slash')
    })
  )

  test(
    'refuses segments that are dots, hold a slash, or are not UTF-8',
    withServer(async peer => {
      for (const segment of ['..', '.', 'a/b', 'a\\b', 'a\0b', Buffer.from([0xff])]) {
        expect(code(await peer.ask(CODE.GET, { options: [[OPTION.URI_PATH, segment]] }))).toMatch(/^4\.0[02]$/)
      }
      expect(code(await peer.ask(CODE.GET, { path: '/path//x' }))).toBe('4.00')
    })
  )

  test(
    'says how long an answer is fresh, and when to try again',
    withServer(async peer => {
      expect((await peer.ask(CODE.GET, { path: '/max-age' })).options.uint(OPTION.MAX_AGE)).toBe(30)
      const busy = await peer.ask(CODE.GET, { path: '/busy' })
      expect([code(busy), busy.options.uint(OPTION.MAX_AGE)]).toEqual(['5.03', 7])
    })
  )

  test(
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
