import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { TYPE } from '../src/codec/message.ts'
import { RawPeer, rawRequest } from './raw-peer.ts'
import { kind, withServer } from './raw-peer-server.ts'

describe('messages to the server', () => {
  const SILENT: readonly (readonly [string, string])[] = [
    ['a malformed acknowledgement', '61451234'],
    ['a malformed reset', '7f001234ff'],
    ['a malformed non-confirmable message', '5f0112340102030405060708ff'],
    ['version 0', '00011234b474657374'],
    ['version 2', '80011234b474657374'],
    ['version 3', 'c0011234b474657374'],
    ['three bytes', '400112'],
    ['nothing', ''],
    ['an acknowledgement of nothing', '60001234'],
    ['a reset of nothing', '70001234'],
    ['a non-confirmable ping', '50001234']
  ]
  test.each(SILENT)('is silent at %s', (_, bytes) =>
    withServer(async peer => {
      peer.send(bytes)
      expect(await peer.beforePong()).toEqual([])
    })()
  )

  const REJECTED: readonly (readonly [string, string])[] = [
    ['a token length of 15', '4f011234010203040506070809'],
    ['an option that ends too late', '40011234b5746573'],
    ['a marker without payload', '40011234b474657374ff'],
    ['an empty message with bytes behind it', '4000123401'],
    ['a reserved class', '40211234'],
    ['a response that nobody waits for', '42451234aabb']
  ]
  test.each(REJECTED)('resets a confirmable message with %s', (_, bytes) =>
    withServer(async peer => {
      peer.send(bytes)
      expect(Buffer.from(await peer.nextBytes()).toString('hex')).toBe('70001234')
    })()
  )

  test(
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

  test(
    'runs a repeated non-confirmable request once',
    withServer(async (peer, server) => {
      const request = rawRequest(CODE.POST, { type: TYPE.NON, path: '/test', payload: 'x' })
      for (let i = 0; i < 3; i++) peer.send(request)
      await peer.beforePong()
      expect(server.calls.get('POST /test')).toBe(1)
    })
  )

  test(
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
