// Tokens of more than 8 bytes (RFC 8974): the codecs, the bound of a server, and a client that asks for them.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode, encode, encodeReply, isMalformed } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { Options } from '../src/codec/options.ts'
import { encodeFrame, FrameReader, isMessage, sizeOfFrame } from '../src/codec/stream-codec.ts'
import { startEtsi } from './etsi-app.ts'
import { RawPeer } from './raw-peer.ts'
import { text, withServer } from './raw-peer-server.ts'
import { RawStreamPeer, rawFrame } from './raw-stream-peer.ts'
import { virtualHome } from './virtual-home.ts'

const tokens = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 260, maxLength: 280 }), fc.uint8Array({ maxLength: 2000 }))

describe('a long token (RFC 8974 section 2.1)', () => {
  test('is written and read in a datagram, in its answer, and in a frame', () => {
    fc.assert(
      fc.property(tokens, fc.uint8Array({ maxLength: 40 }), (token, payload) => {
        const options = new Options().add(11, 'a')
        const sent = { type: TYPE.CON, code: CODE.GET, id: 7, token, options, payload }
        const read = decode(encode(sent)) as ReceivedMessage
        expect([Buffer.compare(read.token, token), read.options.text(11), Buffer.compare(read.payload, payload)]).toEqual([0, 'a', 0])
        const answer = decode(encodeReply(read, TYPE.ACK, 7, CODE.CONTENT, options, payload)) as ReceivedMessage
        expect([Buffer.compare(answer.token, token), answer.options.text(11), Buffer.compare(answer.payload, payload)]).toEqual([0, 'a', 0])
        const frame = encodeFrame(sent)
        expect(sizeOfFrame(sent)).toBe(frame.length)
        const reader = new FrameReader(10_000)
        const [whole] = [...frame].flatMap(byte => reader.push(Uint8Array.of(byte)))
        expect(isMessage(whole!) && [Buffer.compare(whole.token, token), whole.options.text(11)]).toEqual([0, 'a'])
      }),
      { numRuns: 200 }
    )
  })

  test.each([
    ['4d010001', 'no length'],
    ['4d01000100', 'fewer bytes than its length'],
    ['4e01000100', 'half a length'],
    ['4e010001ffff00', 'fewer bytes than its long length'],
    ['4f01000100', 'the reserved length']
  ])('in %s with %s is malformed', bytes => {
    expect(isMalformed(decode(Buffer.from(bytes, 'hex')))).toBe(true)
  })

  test('is no reason for a frame reader to keep more than a message', () => {
    const reader = new FrameReader(1152)
    expect(reader.push(Buffer.from('0effff01', 'hex'))).toEqual([{ malformed: expect.stringContaining('token') }])
    expect(reader.buffered).toBe(0)
  })
})

describe('a server and long tokens', () => {
  test(
    'answers one within its bound, and one beyond it with 4.00',
    withServer(
      async peer => {
        const short = await peer.ask(CODE.GET, { token: 'x'.repeat(20), path: '/test' })
        expect([formatCode(short.code), Buffer.from(short.token).toString()]).toEqual(['2.05', 'x'.repeat(20)])
        const long = await peer.ask(CODE.GET, { token: 'x'.repeat(21), path: '/test' })
        expect([formatCode(long.code), Buffer.from(long.token).toString()]).toEqual(['4.00', 'x'.repeat(21)])
        expect(text(long)).toMatch(/20 bytes/)
      },
      { tokenLength: 20 }
    )
  )

  test('says its bound over TCP, and answers a request with such a token', async () => {
    await using server = await startEtsi({ udp: false, tcp: true, tokenLength: 300 })
    const peer = await RawStreamPeer.to(server.port)
    expect((await peer.next()).options.uint(6)).toBe(300)
    peer.send(Buffer.concat([rawFrame(CODE.CSM, { token: '' }), rawFrame(CODE.GET, { token: 'x'.repeat(300), path: '/test' })]))
    const answer = await peer.next()
    expect([formatCode(answer.code), answer.token.length]).toEqual(['2.05', 300])
    peer.close()
  })

  test('observes with one, and tells each notification with it', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const seen: string[] = []
    const reading = (async () => {
      for await (const answer of client.observe({ 'iopa.Path': '/state', 'coap.TokenLength': 40 })) {
        seen.push(`${await answer.text()} ${answer['coap.Message']?.token.length}`)
        if (seen.length === 2) break
        home.setState('state 1')
      }
    })()
    await home.clock.runUntil(reading)
    expect(seen).toEqual(['state 0 40', 'state 1 40'])
    await home.close()
  })
})

describe('a client that asks for long tokens', () => {
  test('says that the server takes none where that rejects them', async () => {
    const server = new App({ logger: false }).use(coap({ port: 0, tcp: true, tokenLength: 8 })).use(() => 'x')
    await using _ = { [Symbol.asyncDispose]: () => server.close({ timeout: 0 }) }
    const [listener] = await server.listen()
    const { urls = [] } = listener as { urls?: readonly URL[] }
    const app = new App({ logger: false }).use(coap())
    const [datagrams, stream] = [await app.connect(urls[0]!), await app.connect(urls[1]!)]
    const request = { 'iopa.Path': '/', 'coap.TokenLength': 9 }
    // Our server reads it and refuses it by name; over TCP the client knows before.
    expect((await datagrams.send(request)).status).toBe(400)
    await expect(stream.send(request)).rejects.toMatchObject({ status: 501, code: 'token-too-long' })
    await expect(datagrams.send({ ...request, 'coap.TokenLength': 7 })).rejects.toMatchObject({ status: 400, code: 'bad-coap-option' })
    await app.close({ timeout: 0 })
  })

  test('takes a reset for the answer of a server that has none', async () => {
    const peer = await RawPeer.listening()
    const app = new App({ logger: false }).use(coap())
    const client = await app.connect(`coap://127.0.0.1:${peer.port}`)
    const answer = client.send({ 'iopa.Path': '/', 'coap.TokenLength': 9 }).catch((error: unknown) => error)
    peer.reset(await peer.next())
    expect(await answer).toMatchObject({ status: 501, code: 'token-too-long' })
    await app.close({ timeout: 0 })
    peer.close()
  })
})
