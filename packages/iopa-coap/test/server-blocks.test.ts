import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { LARGE } from './etsi-app.ts'
import { RawPeer } from './raw-peer.ts'
import { block, code, text, withServer } from './raw-peer-server.ts'

describe('blocks of requests and answers at the server', () => {
  test(
    'ignores the M bit of Block2 in a request',
    withServer(async peer => {
      const answer = await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, block(1, true, 2)]] })
      expect([code(answer), text(answer)]).toEqual(['2.05', LARGE.slice(64, 128)])
    })
  )

  test(
    'refuses the reserved block size 7 over UDP',
    withServer(async peer => {
      expect(code(await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, block(0, false, 7)]] }))).toMatch(/^4\.0[02]$/)
      expect(code(await peer.ask(CODE.PUT, { path: '/large-update', payload: 'x', options: [[OPTION.BLOCK1, block(0, true, 7)]] }))).toMatch(
        /^4\.0[02]$/
      )
    })
  )

  test(
    'refuses a block behind the end',
    withServer(async peer => {
      expect(code(await peer.ask(CODE.GET, { path: '/large', options: [[OPTION.BLOCK2, block(1000, false, 6)]] }))).toMatch(/^4\.0[02]$/)
      expect(code(await peer.ask(CODE.GET, { path: '/test', options: [[OPTION.BLOCK2, block(1, false, 6)]] }))).toMatch(/^4\.0[02]$/)
    })
  )

  test(
    'changes to smaller blocks in the middle when the client asks',
    withServer(async (peer, server) => {
      const first = await peer.ask(CODE.GET, { path: '/large', token: 'a', options: [[OPTION.BLOCK2, block(0, false, 5)]] })
      const second = await peer.ask(CODE.GET, { path: '/large', token: 'b', options: [[OPTION.BLOCK2, block(8, false, 2)]] })
      expect(text(first) + text(second)).toBe(LARGE.slice(0, 512 + 64))
      expect(second.options.get(OPTION.ETAG)).toEqual(first.options.get(OPTION.ETAG))
      expect(server.calls.get('GET /large')).toBe(1)
    })
  )

  test(
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

  test(
    'begins a body again at block 0',
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

  test(
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

  test(
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

  test(
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
