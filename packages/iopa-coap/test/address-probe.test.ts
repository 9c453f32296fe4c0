import type { DatagramEndpoint } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { echoFor, probe } from '../src/messages/address-probe.ts'
import type { Peer } from '../src/messages/peer.ts'

const THERE: DatagramEndpoint = { address: '192.0.2.7', port: 40_000 }
const VICTIM: DatagramEndpoint = { address: '198.51.100.1', port: 53 }

const setUp = () => {
  const log = { pings: [] as number[], confirmed: 0 }
  let next = 100
  const association = {
    latest: { ...THERE } as DatagramEndpoint | undefined,
    send: (bytes: Uint8Array): void => void log.pings.push(Buffer.from(bytes).readUInt16BE(2)),
    confirm: (): void => void log.confirmed++
  }
  const peer = { association, probe: undefined, outstanding: new Map(), nextId: () => next++, follow: () => undefined } as unknown as Peer
  const answer = (id: number): boolean => peer.probe?.answeredBy(peer, id) ?? false
  const echo = (value: Uint8Array, now = 0): boolean => peer.probe?.echoedBy(peer, value, now) ?? false
  return { log, association, peer, answer, echo }
}

describe('a ping to the latest address', () => {
  test('confirms it when the reset has its id', () => {
    const { log, peer, answer } = setUp()
    probe(peer, 0)
    expect([answer(log.pings[0]!), log.confirmed]).toEqual([true, 1])
  })

  test('has an id that does not follow from those of other messages', () => {
    const { log, peer } = setUp()
    for (let count = 0; count < 64; count++) probe(peer, 10 * count)
    const steps = new Set(log.pings.slice(1).map((id, index) => (id - log.pings[index]!) & 0xffff))
    expect(log.pings).toHaveLength(64)
    expect(steps.size).toBeGreaterThan(50)
  })

  test('leaves one guess: after a wrong id the right one does not count, and no other ping follows at once', () => {
    const { log, peer, answer } = setUp()
    probe(peer, 0)
    const [id] = log.pings as [number]
    expect([answer((id + 1) & 0xffff), answer(id), log.confirmed]).toEqual([false, false, 0])
    for (let count = 0; count < 100; count++) probe(peer, 0.01 * count)
    expect(log.pings).toHaveLength(1)
    probe(peer, 3)
    expect(answer(log.pings[1]!)).toBe(true)
  })

  test('confirms no address that has become the latest since', () => {
    const { log, association, peer, answer } = setUp()
    probe(peer, 0)
    association.latest = VICTIM
    expect([answer(log.pings[0]!), log.confirmed]).toEqual([false, 0])
    probe(peer, 0)
    expect([answer(log.pings[0]!), log.confirmed]).toEqual([false, 0])
  })
})

describe('an Echo for the latest address', () => {
  test('confirms it once when it comes back', () => {
    const { log, peer, echo } = setUp()
    const value = echoFor(peer, 0)!
    expect(value.length).toBeGreaterThanOrEqual(8)
    expect(echoFor(peer, 1)).toEqual(value)
    expect([echo(value.subarray(1)), echo(value.map(byte => byte ^ 1)), log.confirmed]).toEqual([false, false, 0])
    expect([echo(value), echo(value), log.confirmed]).toEqual([true, false, 1])
  })

  test('survives pings, and counts for two minutes', () => {
    const { peer, echo } = setUp()
    const value = echoFor(peer, 0)!
    probe(peer, 1)
    probe(peer, 50)
    expect(echo(value, 121)).toBe(false)
    expect(echo(value, 119)).toBe(true)
  })

  test('confirms no address that was left meanwhile, even if the peer is back there', () => {
    const { log, association, peer, echo } = setUp()
    const value = echoFor(peer, 0)!
    association.latest = undefined
    expect(echo(value)).toBe(false)
    association.latest = { ...THERE }
    expect([echo(value), log.confirmed]).toEqual([false, 0])
    expect(echoFor(peer, 0)).not.toEqual(value)
  })

  test('counts no more when a message has come from the proven address, which may have been told it', () => {
    const { peer, echo } = setUp()
    const value = echoFor(peer, 0)!
    peer.probe?.forgetEcho()
    expect(echo(value)).toBe(false)
  })
})
