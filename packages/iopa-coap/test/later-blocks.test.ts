import { describe, expect, test } from 'vitest'
import { blockValue } from '../src/codec/block.ts'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode } from '../src/codec/datagram-codec.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { LARGE, startEtsi } from './etsi-app.ts'
import { RawPeer, rawRequest } from './raw-peer.ts'
import { SERVER, virtualHome } from './virtual-home.ts'

const SZX = 4
type Options = readonly (readonly [number, Uint8Array | string | number])[]

/** Fetches every further block with these options, and gives the whole body. */
const rest = async (peer: RawPeer, code: number, path: string, first: ReceivedMessage, options: (etag: Uint8Array) => Options): Promise<string> => {
  let body = Buffer.from(first.payload).toString()
  for (let num = 1, answer = first; (answer.options.uint(OPTION.BLOCK2)! & 8) !== 0; num++) {
    answer = await peer.ask(code, { path, options: [...options(first.options.get(OPTION.ETAG)!), [OPTION.BLOCK2, blockValue(num, false, SZX)]] })
    expect(answer.code).toBe(first.code)
    body += Buffer.from(answer.payload).toString()
  }
  return body
}

describe('a later block', () => {
  test.each([
    ['with the ETag that is current', (etag: Uint8Array): Options => [[OPTION.ETAG, etag]]],
    [
      'with the ETag and another one',
      (etag: Uint8Array): Options => [
        [OPTION.ETAG, etag],
        [OPTION.ETAG, 'other']
      ]
    ],
    ['without any', (): Options => []]
  ])('of a GET is served %s', async (_, options) => {
    await using server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    const first = await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, SZX]] })
    expect(await rest(peer, CODE.GET, '/large', first, options)).toBe(LARGE)
    expect(server.calls.get('GET /large')).toBe(1)
    peer.close()
  })

  test('with the ETag of a body that is not kept any more is 2.03 or that block', async () => {
    await using server = await startEtsi()
    const [peer, other] = [await RawPeer.to(server.port), await RawPeer.to(server.port)]
    const first = await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, SZX]] })
    const etag = first.options.get(OPTION.ETAG)!
    const answer = await other.ask(CODE.GET, {
      path: '/large',
      options: [
        [OPTION.ETAG, etag],
        [OPTION.BLOCK2, blockValue(1, false, SZX)]
      ]
    })
    expect(['2.03', '2.05']).toContain(formatCode(answer.code))
    expect(answer.options.get(OPTION.ETAG)).toEqual(etag)
    peer.close()
    other.close()
  })

  test('of what has gone says so, and not that there is no such block', async () => {
    await using server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    const answer = await peer.ask(CODE.GET, { path: '/nowhere', options: [[OPTION.BLOCK2, blockValue(3, false, SZX)]] })
    expect(formatCode(answer.code)).toBe('4.04')
    const beyond = await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, blockValue(4000, false, SZX)]] })
    expect(formatCode(beyond.code)).toBe('4.00')
    peer.close()
  })

  test.each([
    ['leave out the Content-Format', (): Options => []],
    [
      'add the ETag',
      (etag: Uint8Array): Options => [
        [OPTION.CONTENT_FORMAT, 0],
        [OPTION.ETAG, etag]
      ]
    ],
    ['repeat all options', (): Options => [[OPTION.CONTENT_FORMAT, 0]]]
  ])('of the answer to a POST is served where they %s', async (_, options) => {
    await using server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    const first = await peer.ask(CODE.POST, {
      path: '/large-post',
      options: [
        [OPTION.CONTENT_FORMAT, 0],
        [OPTION.BLOCK2, SZX]
      ],
      payload: 'x'
    })
    expect(await rest(peer, CODE.POST, '/large-post', first, options)).toBe(LARGE)
    expect(server.calls.get('POST /large-post')).toBe(1)
    peer.close()
  })

  test('of a body has the Content-Format of the first, and none other', async () => {
    await using server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    const block = (num: number, more: boolean, options: Options, payload: string): Promise<ReceivedMessage> =>
      peer.ask(CODE.PUT, { path: '/json', options: [...options, [OPTION.BLOCK1, blockValue(num, more, 0)]], payload })
    const text = JSON.stringify({ on: true, name: 'a body of two blocks' })
    expect(formatCode((await block(0, true, [[OPTION.CONTENT_FORMAT, 50]], text.slice(0, 16))).code)).toBe('2.31')
    expect(formatCode((await block(1, true, [], text.slice(16, 32))).code)).toBe('2.31')
    const last = await block(2, false, [], text.slice(32))
    expect(formatCode(last.code)).toBe('2.04')
    expect(formatCode((await block(0, true, [[OPTION.CONTENT_FORMAT, 50]], text.slice(0, 16))).code)).toBe('2.31')
    expect(formatCode((await block(1, false, [[OPTION.CONTENT_FORMAT, 0]], '{}')).code)).toBe('4.08')
    peer.close()
  })

  test('of a body repeats the precondition of the first', async () => {
    await using server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    const first = [OPTION.BLOCK1, blockValue(0, true, 0)] as const
    await peer.ask(CODE.PUT, { path: '/create1', options: [[OPTION.IF_NONE_MATCH, new Uint8Array()], first], payload: 'x'.repeat(16) })
    const last = await peer.ask(CODE.PUT, { path: '/create1', options: [[OPTION.BLOCK1, blockValue(1, false, 0)]], payload: 'y' })
    expect(formatCode(last.code)).toBe('4.08')
    peer.close()
  })
})

describe('Size2', () => {
  test('of 0 in a request is answered with the size of the body, also of a small one', async () => {
    await using server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    const size = async (path: string, options: Options = [[OPTION.SIZE2, 0]]): Promise<number | undefined> =>
      (await peer.ask(CODE.GET, { path, options })).options.uint(OPTION.SIZE2)
    expect(await size('/test')).toBe(4)
    expect(await size('/large')).toBe(LARGE.length)
    expect(
      await size('/large', [
        [OPTION.SIZE2, 0],
        [OPTION.BLOCK2, blockValue(1, false, 4)]
      ])
    ).toBe(LARGE.length)
    expect(await size('/test', [])).toBeUndefined()
    expect(await size('/nowhere')).toBeUndefined()
    peer.close()
  })
})

describe('forged blocks', () => {
  test.each([
    ['of many ports', (n: number) => `10.5.0.${(n % 4) + 1}`],
    ['of many addresses', (n: number) => `10.5.${n >> 8}.${n & 255}`]
  ])('%s stop no upload of others', async (_, addressOf) => {
    const home = await virtualHome({ coap: { amplification: 3 } })
    for (let n = 0; n < 240; n++) {
      const channel = await home.network.machine(addressOf(n)).bind({ host: addressOf(n), port: 0 })
      channel.open({ message: () => undefined, error: () => undefined })
      for (let i = 0; i < 16; i++)
        channel.send(
          rawRequest(CODE.PUT, { path: `/body/${i}`, options: [[OPTION.BLOCK1, blockValue(0, true, 0)]], payload: 'x'.repeat(16) }),
          5683,
          SERVER
        )
      await channel.close()
    }
    await home.clock.advance(1000)
    const client = await home.connect()
    expect((await home.clock.runUntil(client.put('/body/mine', new Uint8Array(20_000)))).status).toBe(204)
    // One that is not verified, and cannot send an Echo back.
    const channel = await home.network.machine('10.0.0.7').bind({ host: '10.0.0.7', port: 0 })
    const codes: string[] = []
    channel.open({ message: bytes => codes.push(formatCode((decode(bytes) as ReceivedMessage).code)), error: () => undefined })
    for (let num = 0; num < 10; num++) {
      channel.send(
        rawRequest(CODE.PUT, { path: '/body/its', options: [[OPTION.BLOCK1, blockValue(num, num < 9, 0)]], payload: 'x'.repeat(16) }),
        5683,
        SERVER
      )
      await home.clock.advance(100)
    }
    expect(codes).toEqual([...Array.from({ length: 9 }, () => '2.31'), '2.04'])
    await home.close()
  })

  test('of an unverified peer do not end the upload of a verified one', async () => {
    const home = await virtualHome({ coap: { amplification: 3 } })
    const client = await home.connect()
    await home.clock.runUntil(client.put('/body/mine', new Uint8Array(3000)))
    const slow = home.clock.runUntil(client.put('/body/mine', new Uint8Array(100_000)))
    const channel = await home.network.machine('10.0.0.7').bind({ host: '10.0.0.7', port: 0 })
    channel.open({ message: () => undefined, error: () => undefined })
    for (let i = 0; i < 2000; i++)
      channel.send(
        rawRequest(CODE.PUT, { path: `/body/${i}`, options: [[OPTION.BLOCK1, blockValue(0, true, 6)]], payload: 'x'.repeat(1024) }),
        5683,
        SERVER
      )
    expect((await slow).status).toBe(204)
    await home.close()
  })
})
