import { describe, expect, test } from 'vitest'
import type { Peer } from '../src/messages/peer.ts'
import { PeerTable } from '../src/messages/peer-table.ts'

const table = (perAddress: number, limit = 100) => {
  const forgotten: string[] = []
  const budget = { peerBytes: 1024, share: 1024, bytes: 1024, used: 0 }
  const init = { limit, perAddress, budget, handledBudget: budget, credit: 0 }
  const peers = new PeerTable({ ...init, abandon: ({ address }) => void forgotten.push(address) })
  /** A peer that has to stay. */
  const busy = (address: string, port = 1): Peer | undefined => {
    const peer = peers.add(address, port, 0)
    peer?.pin()
    return peer
  }
  return { peers, busy, forgotten }
}

describe('the peers of a network of IPv6', () => {
  test('share the places of one address, whichever addresses they choose', () => {
    const { peers, busy } = table(3)
    for (const host of ['1', '2', 'ffff:ffff:ffff:ffff']) expect(busy(`2001:db8:0:1:${host.length > 1 ? host : `:${host}`}`)).toBeDefined()
    expect(busy('2001:db8:0:1::3')).toBeUndefined()
    expect(busy('2001:db8::1:0:0:0:4')).toBeUndefined()
    expect(busy('2001:db8:0:2::1')).toBeDefined()
    expect(peers.size).toBe(4)
  })

  test('make room for each other, and are found by their addresses', () => {
    const { peers, forgotten } = table(2)
    const first = peers.add('2001:db8::1', 1, 0)
    const second = peers.add('2001:db8::2', 1, 0)
    expect([peers.find('2001:db8::1', 1), peers.find('2001:db8::2', 1), peers.find('2001:db8::3', 1)]).toEqual([first, second, undefined])
    expect(peers.add('2001:db8::3', 1, 0)?.home).toBe(second?.home)
    expect(forgotten).toEqual(['2001:db8::1'])
    expect([peers.find('2001:db8::1', 1), peers.size]).toEqual([undefined, 2])
  })

  test('share what they may be sent on trust and their requests in flight', () => {
    const { peers } = table(10)
    const [one, other] = [peers.add('2001:db8::1', 1, 0)!, peers.add('2001:db8::2', 1, 0)!]
    one.home.load++
    expect(one.admit(10, true)).toBe(true)
    expect([other.home.load, other.home.trust]).toEqual([1, 15])
    expect(peers.add('192.0.2.1', 1, 0)!.home.trust).toBe(16)
  })

  test('leave nothing behind: another one begins with all places', () => {
    const { peers, busy } = table(2)
    const held = [busy('2001:db8::1'), busy('2001:db8::2')]
    expect(busy('2001:db8::3')).toBeUndefined()
    for (const peer of held) peer?.unpin()
    peers.expire(1)
    expect(peers.size).toBe(0)
    expect([busy('2001:db8::3')?.home.size, busy('2001:db8::4')?.home.size]).toEqual([1, 2])
  })
})

test('an address of IPv4 has its own places', () => {
  const { busy } = table(1)
  expect([busy('192.0.2.1'), busy('192.0.2.1', 2), busy('192.0.2.2')].map(peer => peer !== undefined)).toEqual([true, false, true])
})
