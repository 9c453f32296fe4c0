import type { DatagramEndpoint } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { probe } from '../src/messages/address-probe.ts'
import type { Peer } from '../src/messages/peer.ts'

const THERE: DatagramEndpoint = { address: '192.0.2.7', port: 40_000 }
const VICTIM: DatagramEndpoint = { address: '198.51.100.1', port: 53 }

const setUp = () => {
  const log = { pings: [] as number[], confirmed: 0 }
  let next = 100
  const association = {
    latest: THERE as DatagramEndpoint | undefined,
    send: (bytes: Uint8Array): void => void log.pings.push(Buffer.from(bytes).readUInt16BE(2)),
    confirm: (): void => void log.confirmed++
  }
  const peer = { association, probe: undefined, outstanding: new Map(), nextId: () => next++, follow: () => undefined } as unknown as Peer
  const answer = (id: number): boolean => peer.probe?.answeredBy(peer, id) ?? false
  return { log, association, peer, answer }
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
