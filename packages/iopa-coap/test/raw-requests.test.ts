// Requests with any option and any code, and what an answer shows of its message.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { encodeReply } from '../src/codec/datagram-codec.ts'
import { TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { RawPeer } from './raw-peer.ts'
import { code, withServer } from './raw-peer-server.ts'

/** A client of a raw peer that answers with what the test says. */
const withPeer = async (
  options: Parameters<typeof coap>[0],
  run: (client: Awaited<ReturnType<App['connect']>>, peer: RawPeer) => Promise<void>
): Promise<void> => {
  const peer = await RawPeer.listening()
  const app = new App({ logger: false }).use(coap(options))
  const client = await app.connect(`coap://127.0.0.1:${peer.port}`)
  try {
    await run(client, peer)
  } finally {
    await app.close({ timeout: 0 })
    peer.close()
  }
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error
  )

describe('a request of a client', () => {
  test('carries options of any number: bytes, text, a number, nothing', () =>
    withPeer({}, async (client, peer) => {
      const answer = client.send({
        'iopa.Path': '/a',
        'coap.Options': [[3412, Buffer.of(1, 2)], [65_001, 'text'], [OPTION.HOP_LIMIT, 10], [2048], [2048, 0]]
      })
      const request = await peer.next()
      expect([...request.options].map(([number, value]) => [number, Buffer.from(value).toString('latin1')])).toEqual([
        [OPTION.URI_PATH, 'a'],
        [OPTION.HOP_LIMIT, '\n'],
        [2048, ''],
        [2048, ''],
        [3412, '\x01\x02'],
        [65_001, 'text']
      ])
      peer.send(encodeReply(request, TYPE.ACK, request.id, CODE.CONTENT, new Options().add(2050, 'more'), Buffer.from('x')))
      const message = (await answer)['coap.Message']
      expect(message).toMatchObject({ type: TYPE.ACK, code: CODE.CONTENT })
      expect([message?.options.text(2050), Buffer.compare(message!.token, request.token)]).toEqual(['more', 0])
    }))

  test('has any code: as code, or by the method that the app has given it', () =>
    withPeer({ codes: { '0.30': 'STATUS' } }, async (client, peer) => {
      for (const [method, expected] of [
        ['0.29', '0.29'],
        ['STATUS', '0.30']
      ]) {
        const answer = client.send({ 'iopa.Method': method, 'iopa.Path': '/cit/s' })
        const request = await peer.next()
        expect(formatCode(request.code)).toBe(expected)
        peer.send(encodeReply(request, TYPE.ACK, request.id, CODE.CHANGED, new Options(), new Uint8Array(0)))
        expect((await answer).status).toBe(204)
      }
    }))

  test('goes through a forward proxy with Proxy-Uri, which stands for host, path and query', () =>
    withPeer({}, async (client, peer) => {
      const answer = client.send({ 'coap.Options': [[OPTION.PROXY_URI, 'coap://sensor.example/temp']] })
      const request = await peer.next()
      expect([...request.options].map(([number]) => number)).toEqual([OPTION.PROXY_URI])
      peer.send(encodeReply(request, TYPE.ACK, request.id, CODE.HOP_LIMIT_REACHED, new Options(), new Uint8Array(0)))
      expect((await answer).status).toBe(508)
      const both = client.send({ 'iopa.Path': '/x', 'coap.Options': [[OPTION.PROXY_URI, 'coap://sensor.example/temp']] })
      expect(await failure(both)).toMatchObject({ status: 400, code: 'bad-coap-option', detail: expect.stringContaining('iopa.Path') })
    }))

  test.each([
    [OPTION.URI_PATH, 'a', /iopa\.Path/],
    [OPTION.BLOCK1, 6, /iopa\.Body/],
    [OPTION.OBSERVE, 0, /observe\(\)/],
    [OPTION.ECHO, 'x', /client itself/],
    [19, 6, /Q-Block/],
    [0, '', /1 to 65535/],
    [70_000, '', /1 to 65535/],
    [OPTION.HOP_LIMIT, 256, /1 to 1 bytes/],
    [OPTION.PROXY_URI, 7, /text/],
    [2048, -1, /whole/],
    [2048, Number.NaN, /whole/],
    [2048, {}, /bytes, a text or a number/],
    [2048, 'x'.repeat(1035), /1034 bytes/]
  ])('refuses option %d with %j, and says what makes it or what it takes', (number, value, sentence) =>
    withPeer({}, async client => {
      const refused = await failure(client.send({ 'coap.Options': [[number, value as string]] }))
      expect(refused).toMatchObject({ status: 400, code: 'bad-coap-option', detail: expect.stringMatching(sentence) })
    })
  )

  test('refuses an option twice that may stand once, and what is no list', () =>
    withPeer({}, async client => {
      const twice = client.send({
        'coap.Options': [
          [OPTION.HOP_LIMIT, 1],
          [OPTION.HOP_LIMIT, 2]
        ]
      })
      expect(await failure(twice)).toMatchObject({ detail: expect.stringMatching(/once/) })
      for (const given of ['x', [7], Array.from({ length: 65 }, () => [2048])])
        expect(await failure(client.send({ 'coap.Options': given as never }))).toMatchObject({ code: 'bad-coap-option' })
    }))

  test('refuses a key that CoAP does not have, and a code that is a method', () =>
    withPeer({}, async client => {
      const unknown = client.send({ 'coap.Optoins': [] } as never)
      expect(await failure(unknown)).toMatchObject({ status: 500, code: 'bad-bag', detail: expect.stringMatching(/coap\.Options/) })
      expect(await failure(client.send({ 'iopa.Method': '0.03' }))).toMatchObject({ status: 501, code: 'no-such-method' })
      expect(await failure(client.send({ 'iopa.Method': '0.32' }))).toMatchObject({ status: 501, code: 'no-such-method' })
    }))

  test('takes an answer with an unknown critical option where the app reads that itself', async () => {
    const ask = async (options: Parameters<typeof coap>[0]): Promise<unknown> => {
      let result: unknown
      await withPeer(options, async (client, peer) => {
        const answer = failure(client.get('/').then(({ 'coap.Message': message }) => Promise.reject(message?.options.text(2049))))
        const request = await peer.next()
        peer.send(encodeReply(request, TYPE.ACK, request.id, CODE.CONTENT, new Options().add(2049, 'read'), new Uint8Array(0)))
        result = await answer
      })
      return result
    }
    expect(await ask({})).toMatchObject({ status: 502, code: 'critical-option' })
    expect(await ask({ criticalOptions: [2049] })).toBe('read')
  })
})

describe('a server', () => {
  test('routes a code by its method, with its options, critical ones too', async () => {
    const app = new App({ logger: false }).use(router()).use(coap({ port: 0, codes: { '0.30': 'STATUS' }, criticalOptions: [2049] }))
    const seen: unknown[] = []
    app.on('STATUS', '/cit/s', async context => {
      const { options } = context['coap.Message']!
      seen.push([context.method, options.text(3332), options.uint(3412), options.text(2049), await context.text()])
    })
    const [listener] = await app.listen()
    const peer = await RawPeer.to(Number(listener!.url.port))
    const options: [number, string | number][] = [
      [2049, 'c'],
      [3332, 'SHSW-25#1#2'],
      [3412, 38_400]
    ]
    expect(code(await peer.ask(30, { path: '/cit/s', options, payload: '{}' }))).toBe('2.04')
    expect(seen).toEqual([['STATUS', 'SHSW-25#1#2', 38_400, 'c', '{}']])
    expect(code(await peer.ask(29, { path: '/cit/s' }))).toBe('4.05')
    expect(code(await peer.ask(30, { path: '/cit/s', options: [[2051, 'x']] }))).toBe('4.02')
    peer.close()
    await app.close({ timeout: 0 })
  })

  test('that names no code answers 4.05 to one', () =>
    withServer(async peer => {
      expect(code(await peer.ask(30, { path: '/test' }))).toBe('4.05')
    })())

  test.each([19, 31])('refuses the Q-Block option %d with 4.02 (RFC 9177 section 4.1)', number =>
    withServer(async (peer, server) => {
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[number, 6]] }))).toBe('4.02')
      expect(server.calls.size).toBe(0)
    })()
  )

  test('ignores Hop-Limit, but for a value that no proxy sends (RFC 8768 section 3)', () =>
    withServer(async peer => {
      for (const [value, expected] of [
        [1, '2.05'],
        [255, '2.05'],
        [0, '4.00'],
        [256, '4.00']
      ] as const)
        expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.HOP_LIMIT, value]] }))).toBe(expected)
    })())

  test.each([
    [{ codes: { '0.03': 'PUT2' } }, /0\.03 is PUT/],
    [{ codes: { '0.32': 'X' } }, /no request code/],
    [{ codes: { '2.05': 'X' } }, /no request code/],
    [{ codes: { '0.30': 'PUT' } }, /'PUT' is a method/],
    [{ codes: { '0.30': 'connect' } }, /is a method/],
    [{ codes: { '0.30': 'a b' } }, /needs a method/],
    [{ codes: { '0.30': 'X', '0.29': 'X' } }, /is a method/],
    [{ criticalOptions: [2050] }, /odd numbers/],
    [{ criticalOptions: [9] }, /Option 9/],
    [{ criticalOptions: [OPTION.URI_PATH] }, /Option 11/],
    [{ tokenLength: 7 }, /tokenLength/],
    [{ tokenLength: 65_805 }, /tokenLength/]
  ])('is refused with %j', (options, sentence) => {
    expect(() => coap(options)).toThrow(sentence)
  })
})
