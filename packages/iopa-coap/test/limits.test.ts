import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { startEtsi } from './etsi-app.ts'
import { line, RawPeer, rawRequest } from './raw-peer.ts'

describe('limits', () => {
  test('answers 5.03 with Max-Age when one peer has too much in work, and serves it again afterwards', async () => {
    await using server = await startEtsi({ limits: { inFlightPerConnection: 3 } })
    const peer = await RawPeer.to(server.port)
    for (let i = 0; i < 5; i++) peer.send(rawRequest(CODE.GET, { type: TYPE.NON, token: `${i}`, path: '/separate' }))
    const refused = [await peer.next(), await peer.next()]
    for (const answer of refused) {
      expect(formatCode(answer.code)).toBe('5.03')
      expect(answer.options.uint(OPTION.MAX_AGE)).toBeGreaterThan(0)
    }
    const served = [await peer.next(), await peer.next(), await peer.next()]
    expect(served.map(answer => formatCode(answer.code))).toEqual(['2.05', '2.05', '2.05'])
    expect(line(await peer.ask(CODE.GET, { path: '/test' }))).toBe('ACK 2.05 {tk} "test"')
    expect(server.calls.get('GET /separate')).toBe(3)
    peer.close()
  })

  test('answers 5.03 to anybody when too much is in work in all', async () => {
    await using server = await startEtsi({ limits: { inFlight: 2 } })
    const peers = await Promise.all([RawPeer.to(server.port), RawPeer.to(server.port), RawPeer.to(server.port)])
    for (const peer of peers.slice(0, 2)) {
      peer.send(rawRequest(CODE.GET, { type: TYPE.NON, path: '/separate' }))
      await peer.beforePong()
    }
    expect(formatCode((await peers[2]!.ask(CODE.GET, { path: '/test' })).code)).toBe('5.03')
    for (const peer of peers.slice(0, 2)) expect(formatCode((await peer.next()).code)).toBe('2.05')
    for (const peer of peers) peer.close()
  })

  test('observes no more for a peer than it may, and answers the rest as plain GETs', async () => {
    await using server = await startEtsi({ limits: { observersPerConnection: 2 } })
    const peer = await RawPeer.to(server.port)
    const observes: boolean[] = []
    for (const token of ['a', 'b', 'c']) {
      const answer = await peer.ask(CODE.GET, { token, path: '/obs', options: [[OPTION.OBSERVE, 0]] })
      expect(formatCode(answer.code)).toBe('2.05')
      observes.push(answer.options.has(OPTION.OBSERVE))
    }
    expect(observes).toEqual([true, true, false])
    expect(server.app.live).toBe(2)
    peer.close()
  })

  test('answers 5.04 when a handler takes longer than a request may', async () => {
    await using server = await startEtsi({ separateAfter: 3000, limits: { requestTimeout: 200 } })
    const peer = await RawPeer.to(server.port)
    const answer = await peer.ask(CODE.GET, { type: TYPE.NON, path: '/separate' })
    expect(formatCode(answer.code)).toBe('5.04')
    expect(server.app.live).toBe(0)
    peer.close()
  })

  test('remembers no more peers than it may, and forgets the one that was silent for longest', async () => {
    await using server = await startEtsi({ limits: { connections: 50 } })
    for (let i = 0; i < 120; i++) {
      const peer = await RawPeer.to(server.port)
      expect(line(await peer.ask(CODE.GET, { path: '/test' }))).toBe('ACK 2.05 {tk} "test"')
      peer.close()
    }
  })

  test('refuses a path of too many or too long segments', async () => {
    await using server = await startEtsi({ limits: { pathSegments: 5, segmentLength: 20 } })
    const peer = await RawPeer.to(server.port)
    expect(formatCode((await peer.ask(CODE.GET, { path: '/a/b/c/d/e/f' })).code)).toBe('4.00')
    expect(formatCode((await peer.ask(CODE.GET, { path: `/${'x'.repeat(21)}` })).code)).toBe('4.00')
    peer.close()
  })

  test('finishes what is in work when the app closes, and refuses what comes then', async () => {
    const server = await startEtsi({ separateAfter: 300 })
    const peer = await RawPeer.to(server.port)
    peer.send(rawRequest(CODE.GET, { type: TYPE.NON, token: 'old', path: '/separate' }))
    await peer.beforePong()
    const closed = server.close()
    expect(formatCode((await peer.ask(CODE.GET, { type: TYPE.NON, token: 'new', path: '/test' })).code)).toBe('5.03')
    expect(line(await peer.next())).toBe('NON 2.05 {old} "separate"')
    await closed
    expect(server.app.live).toBe(0)
    peer.close()
  })

  test('tells its observers when the app closes', async () => {
    const server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    await peer.ask(CODE.GET, { path: '/obs', options: [[OPTION.OBSERVE, 0]] })
    const closed = server.close()
    const last = await peer.next()
    expect([formatCode(last.code), last.options.has(OPTION.OBSERVE)]).toEqual(['5.03', false])
    await closed
    expect(server.app.live).toBe(0)
    peer.close()
  })
})
