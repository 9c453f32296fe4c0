import { App, IopaError } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import type { Message } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import type { Options } from '../src/codec/options.ts'
import { abort, ping, pong, Signalling } from '../src/streams/signalling.ts'
import { LARGE, startEtsi } from './etsi-app.ts'
import { eventually } from './eventually.ts'
import { RawStreamPeer, rawFrame } from './raw-stream-peer.ts'

const text = (message: Message): string => Buffer.from(message.payload).toString()
const hello = (maxMessageSize = 1152, blockWise = false): Uint8Array => new Signalling({ maxMessageSize, blockWise }).hello()
const bad = (number: number): Uint8Array => rawFrame(CODE.CSM, { token: '', options: [[number, 'x']] })

const withServer =
  (test: (peer: RawStreamPeer, server: Awaited<ReturnType<typeof startEtsi>>) => Promise<void>, options: Parameters<typeof startEtsi>[0] = {}) =>
  async (): Promise<void> => {
    await using server = await startEtsi({ udp: false, tcp: true, ...options })
    const peer = await RawStreamPeer.to(server.port)
    try {
      await test(peer, server)
    } finally {
      peer.close()
    }
    await eventually(() => server.app.live === 0, 'every context has ended with its connection')
  }

/** The server's CSM, which is the first thing that it says. */
const capabilities = async (peer: RawStreamPeer): Promise<Options> => {
  const csm = await peer.next()
  expect(formatCode(csm.code)).toBe('7.01')
  return csm.options
}

const aborted = async (peer: RawStreamPeer): Promise<Message> => {
  for (;;) {
    const message = await peer.next()
    if (message.code !== CODE.ABORT) continue
    await peer.ended()
    return message
  }
}

describe('CoAP over TCP (RFC 8323)', () => {
  test(
    'opens with a CSM without waiting for that of the peer, and says what it takes',
    withServer(async peer => {
      const options = await capabilities(peer)
      expect(options.uint(2)).toBeGreaterThan(1152)
      expect(options.has(4)).toBe(true)
    })
  )

  test(
    'answers requests by token, and many of one write',
    withServer(async peer => {
      await capabilities(peer)
      peer.send(
        hello(),
        rawFrame(CODE.GET, { path: '/test', token: 'a' }),
        rawFrame(CODE.GET, { path: '/nowhere', token: 'b' }),
        rawFrame(CODE.DELETE, { path: '/test', token: '' })
      )
      const answers = [await peer.next(), await peer.next(), await peer.next()]
      expect(answers.map(answer => `${Buffer.from(answer.token)} ${formatCode(answer.code)}`)).toEqual(['a 2.05', 'b 4.04', ' 2.02'])
      expect(text(answers[0]!)).toBe('test')
    })
  )

  test(
    'answers a fast request while a slow one is in work',
    withServer(async peer => {
      await capabilities(peer)
      peer.send(hello(), rawFrame(CODE.GET, { path: '/separate', token: 'slow' }), rawFrame(CODE.GET, { path: '/test', token: 'fast' }))
      expect([Buffer.from((await peer.next()).token).toString(), Buffer.from((await peer.next()).token).toString()]).toEqual(['fast', 'slow'])
    })
  )

  test(
    'takes a request byte by byte',
    withServer(async peer => {
      await capabilities(peer)
      for (const byte of Buffer.concat([hello(), rawFrame(CODE.PUT, { path: '/large-update', payload: LARGE.slice(0, 600) })])) {
        peer.send(Uint8Array.of(byte))
        await new Promise(setImmediate)
      }
      expect(formatCode((await peer.next()).code)).toBe('2.04')
    })
  )

  test(
    'answers Ping with Pong and its token, and ignores empty messages',
    withServer(async peer => {
      await capabilities(peer)
      peer.send('0000', hello(), '0000', ping(Buffer.from('p1')))
      const answer = await peer.next()
      expect([formatCode(answer.code), Buffer.from(answer.token).toString()]).toEqual(['7.03', 'p1'])
      peer.send(pong(Buffer.from('nobody')), rawFrame(CODE.GET, { path: '/test' }))
      expect(text(await peer.next())).toBe('test')
    })
  )

  test(
    'answers a Ping with custody after the requests before it',
    withServer(async peer => {
      await capabilities(peer)
      peer.send(hello(), rawFrame(CODE.GET, { path: '/separate', token: 'slow' }), ping(Buffer.from('p'), true))
      expect(formatCode((await peer.next()).code)).toBe('2.05')
      const answer = await peer.next()
      expect([formatCode(answer.code), answer.options.has(2)]).toEqual(['7.03', true])
    })
  )

  test.each([
    ['a request before the CSM', rawFrame(CODE.GET, { path: '/test' }), undefined],
    ['a CSM with a critical option', bad(9), 9],
    ['a signal with a critical option', Buffer.concat([hello(), rawFrame(CODE.PING, { options: [[3, 'x']] })]), undefined],
    ['a reserved token length', Buffer.concat([hello(), Buffer.from('0f01', 'hex')]), undefined],
    ['options that cannot be read', Buffer.concat([hello(), Buffer.from('1001f0', 'hex')]), undefined]
  ])('aborts at %s, and says why', (_, bytes, badOption) =>
    withServer(async (peer, server) => {
      await capabilities(peer)
      peer.send(bytes)
      const message = await aborted(peer)
      expect(text(message)).not.toBe('')
      expect(message.options.uint(2)).toBe(badOption)
      expect(server.calls.get('GET /test')).toBeUndefined()
    })()
  )

  test(
    'closes when the peer aborts',
    withServer(async peer => {
      await capabilities(peer)
      peer.send(hello(), abort('tired'))
      await peer.ended()
    })
  )

  test(
    'finishes what is in work after a Release, then closes',
    withServer(async peer => {
      await capabilities(peer)
      peer.send(hello(), rawFrame(CODE.GET, { path: '/separate' }), rawFrame(CODE.RELEASE, { token: '' }))
      let answer = await peer.next()
      while (answer.code >> 5 === 7) answer = await peer.next()
      expect(text(answer)).toBe('separate')
      await peer.ended()
    })
  )

  test(
    'answers unknown critical options 4.02, and unknown methods 4.05',
    withServer(async peer => {
      await capabilities(peer)
      peer.send(hello())
      expect(formatCode((await peer.ask(CODE.GET, { path: '/test', options: [[2049, 'x']] })).code)).toBe('4.02')
      expect(formatCode((await peer.ask(31, { path: '/test' })).code)).toBe('4.05')
    })
  )

  test(
    'answers a body over the limit 4.13, and reads on',
    withServer(
      async (peer, server) => {
        await capabilities(peer)
        peer.send(hello())
        const answer = await peer.ask(CODE.PUT, { path: '/large-update', payload: 'x'.repeat(50_000) })
        expect([formatCode(answer.code), answer.options.uint(OPTION.SIZE1)]).toEqual(['4.13', 3000])
        expect(text(await peer.ask(CODE.GET, { path: '/test' }))).toBe('test')
        expect(server.calls.get('PUT /large-update')).toBeUndefined()
      },
      { body: 3000 }
    )
  )

  test(
    'sends a peer that takes no large messages blocks of 1,024 bytes',
    withServer(async peer => {
      await capabilities(peer)
      peer.send(hello(1152, true))
      const first = await peer.ask(CODE.GET, { path: '/large' })
      expect([first.options.uint(OPTION.BLOCK2), first.payload.length]).toEqual([0x0e, 1024])
      const second = await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, 0x16]] })
      expect(text(first) + text(second)).toBe(LARGE.slice(0, 2048))
    })
  )

  test(
    'sends a peer that takes them large messages in one piece, or BERT blocks when it asks for those (section 6)',
    withServer(async peer => {
      await capabilities(peer)
      peer.send(hello(1024 * 1024, true))
      const whole = await peer.ask(CODE.GET, { path: '/large' })
      expect([text(whole), whole.options.has(OPTION.BLOCK2)]).toEqual([LARGE, false])
      const bert = await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, 0x07]] })
      expect(bert.options.uint(OPTION.BLOCK2)! & 7).toBe(7)
      expect(text(bert)).toBe(LARGE.slice(0, bert.payload.length))
    })
  )

  test(
    'takes a body in BERT blocks',
    withServer(async (peer, server) => {
      await capabilities(peer)
      peer.send(hello(1024 * 1024, true))
      const body = LARGE.repeat(2)
      const first = await peer.ask(CODE.PUT, { path: '/large-update', payload: body.slice(0, 3072), options: [[OPTION.BLOCK1, 0x0f]] })
      expect(formatCode(first.code)).toBe('2.31')
      const second = await peer.ask(CODE.PUT, { path: '/large-update', payload: body.slice(3072), options: [[OPTION.BLOCK1, 0x37]] })
      expect(formatCode(second.code)).toBe('2.04')
      expect(server.bodies.get('/large-update')).toBe(body)
    })
  )

  test(
    'observes until Observe 1, and tells the newest state',
    withServer(async (peer, server) => {
      await capabilities(peer)
      peer.send(hello())
      const first = await peer.ask(CODE.GET, { path: '/obs', token: 'o', options: [[OPTION.OBSERVE, 0]] })
      expect([text(first), first.options.has(OPTION.OBSERVE)]).toEqual(['obs 0', true])
      server.setObserved('obs 1')
      expect(text(await peer.next())).toBe('obs 1')
      const last = await peer.ask(CODE.GET, { path: '/obs', token: 'o', options: [[OPTION.OBSERVE, 1]] })
      expect([text(last), last.options.has(OPTION.OBSERVE)]).toEqual(['obs 1', false])
      server.setObserved('obs 2')
      expect(text(await peer.ask(CODE.GET, { path: '/test' }))).toBe('test')
    })
  )

  test(
    'ends an observation with its connection',
    withServer(async (peer, server) => {
      await capabilities(peer)
      peer.send(hello())
      await peer.ask(CODE.GET, { path: '/obs', options: [[OPTION.OBSERVE, 0]] })
      peer.close()
      await eventually(() => server.app.live === 0, 'the observation has ended')
      server.setObserved('obs 1')
      expect(server.calls.get('GET /obs')).toBe(1)
    })
  )

  test('runs a CONNECT through the pipeline, whose user every request of the connection has', async () => {
    await using app = new App({ logger: false })
      .use((context, next) => {
        if (context.method === 'CONNECT') {
          context.user = { id: 'from the connection' }
          return next()
        }
        return next()
      })
      .use(router())
      .use(coap({ port: 0, udp: false, tcp: true }))
    app.get('/whoami', ({ user }) => user?.id ?? 'nobody')
    const [listener] = await app.listen()
    const peer = await RawStreamPeer.to(Number(listener!.url.port))
    await capabilities(peer)
    peer.send(hello())
    expect(text(await peer.ask(CODE.GET, { path: '/whoami' }))).toBe('from the connection')
    peer.close()
  })

  test('refuses a connection that the pipeline refuses', async () => {
    await using app = new App({ logger: false })
      .use((context, next) => {
        if (context.method === 'CONNECT') throw new IopaError(401, 'unauthorized', 'Say who you are.')
        return next()
      })
      .use(router())
      .use(coap({ port: 0, udp: false, tcp: true }))
    let runs = 0
    app.get('/test', () => {
      runs++
      return 'test'
    })
    const [listener] = await app.listen()
    const peer = await RawStreamPeer.to(Number(listener!.url.port))
    peer.send(hello(), rawFrame(CODE.GET, { path: '/test' }))
    expect(text(await aborted(peer))).toMatch(/Say who you are/)
    expect(runs).toBe(0)
  })

  test('says goodbye to its connections when the app closes', async () => {
    const server = await startEtsi({ udp: false, tcp: true })
    const peer = await RawStreamPeer.to(server.port)
    await capabilities(peer)
    peer.send(hello())
    await peer.ask(CODE.GET, { path: '/test' })
    const closed = server.close()
    expect(formatCode((await peer.next()).code)).toMatch(/7\.0[45]/)
    peer.close()
    await closed
    expect(server.app.live).toBe(0)
  })
})
