import { describe, expect, test } from 'vitest'
import type { ConfirmableListener } from '../src/messages/message-listeners.ts'
import { type TransmissionParameters, transmission } from '../src/messages/parameters.ts'
import type { Peer } from '../src/messages/peer.ts'
import { PeerTable } from '../src/messages/peer-table.ts'
import { Retransmission } from '../src/messages/retransmission.ts'
import { SERVER, virtualHome } from './virtual-home.ts'

const LISTENER: ConfirmableListener = { acknowledged: () => true, reset: () => undefined, expired: () => undefined }

/** Confirmable messages to one peer, acknowledged by the test. */
const sender = (nstartLimit: number, parameters: TransmissionParameters = {}) => {
  let now = 0
  const budget = { peerBytes: 1024, share: 1024, bytes: 1024, used: 0 }
  const peers = new PeerTable({
    limit: 1,
    perAddress: undefined,
    budget,
    handledBudget: budget,
    credit: Number.POSITIVE_INFINITY,
    abandon: () => undefined
  })
  const peer = peers.add('127.0.0.1', 5683, 0) as Peer
  const retransmission = new Retransmission({
    transmission: transmission(parameters),
    nstartLimit,
    queue: 1000,
    clock: { elapsed: () => now },
    timer: { seconds: 0 },
    suspect: () => undefined,
    transmit: () => undefined,
    onError: error => {
      throw error
    }
  })
  const send = (count: number): void => {
    for (let sent = 0; sent < count; sent++) retransmission.send(peer, new Uint8Array(4), LISTENER)
  }
  return {
    send,
    /** Acknowledges all that is under way, and gives what is then. */
    round: (): number => {
      for (const confirmable of [...peer.outstanding.values()]) retransmission.acknowledge(confirmable)
      return peer.outstanding.size
    },
    underWay: () => peer.outstanding.size,
    pass: (milliseconds: number) => {
      now += milliseconds
      retransmission.tick(now)
    }
  }
}

describe('NSTART', () => {
  test('of a client grows by one with each message that is acknowledged the first time, up to its limit', () => {
    const client = sender(32)
    client.send(300)
    expect(client.underWay()).toBe(1)
    expect(Array.from({ length: 7 }, client.round)).toEqual([2, 4, 8, 16, 32, 32, 32])
  })

  test('of a client falls back to one with the first repetition, and grows again after that', () => {
    const client = sender(32)
    client.send(300)
    while (client.round() < 16);
    client.pass(5000)
    expect(client.round()).toBe(1)
    expect([client.round(), client.round()]).toEqual([2, 4])
  })

  test('stays what it was set to', () => {
    const fixed = sender(3, { nstart: 3 })
    fixed.send(30)
    expect([fixed.underWay(), fixed.round(), fixed.round()]).toEqual([3, 3, 3])
    const server = sender(1)
    server.send(10)
    expect([server.underWay(), server.round(), server.round()]).toEqual([1, 1, 1])
  })

  test('of a client on a network is one, and grows where nstartLimit says so', async () => {
    for (const [transmission, most] of [
      [undefined, 1],
      [{ nstartLimit: 8 }, 8]
    ] as const) {
      const home = await virtualHome({ network: { delay: 100 }, client: transmission === undefined ? {} : { transmission } })
      const client = await home.connect()
      await home.clock.runUntil(Promise.all(Array.from({ length: 40 }, (_, at) => client.post(`/count/${at}`, 'x'))))
      let underWay = 0
      let found = 0
      for (const { to } of home.network.trace) {
        underWay += to.address === SERVER ? 1 : -1
        found = Math.max(found, underWay)
      }
      expect(found).toBe(most)
      await home.close()
    }
  })
})
