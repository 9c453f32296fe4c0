import { describe, expect, test } from 'vitest'
import type { ConfirmableListener } from '../src/datagrams/confirmable.ts'
import { Peer } from '../src/datagrams/peer.ts'
import { Retransmission } from '../src/datagrams/retransmission.ts'
import { type TransmissionParameters, transmission } from '../src/parameters.ts'

const LISTENER: ConfirmableListener = { acknowledged: () => true, reset: () => undefined, expired: () => undefined }

/** Confirmable messages to one peer, acknowledged by the test. */
const sender = (growing: boolean, parameters: TransmissionParameters = {}) => {
  let now = 0
  const peer = new Peer('127.0.0.1', 5683, 0, { peerBytes: 1024, bytes: 1024, used: 0 })
  const retransmission = new Retransmission({
    transmission: transmission(parameters),
    growing,
    queue: 1000,
    now: () => now,
    send: () => undefined,
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
  test('of a client grows by one with each message that is acknowledged the first time, up to 32', () => {
    const client = sender(true)
    client.send(300)
    expect(client.underWay()).toBe(1)
    expect(Array.from({ length: 7 }, client.round)).toEqual([2, 4, 8, 16, 32, 32, 32])
  })

  test('of a client falls back to one with the first repetition, and grows again after that', () => {
    const client = sender(true)
    client.send(300)
    while (client.round() < 16);
    client.pass(5000)
    expect(client.round()).toBe(1)
    expect([client.round(), client.round()]).toEqual([2, 4])
  })

  test('stays what it was set to, and that of a server stays one', () => {
    const fixed = sender(true, { nstart: 3 })
    fixed.send(30)
    expect([fixed.underWay(), fixed.round(), fixed.round()]).toEqual([3, 3, 3])
    const server = sender(false)
    server.send(10)
    expect([server.underWay(), server.round(), server.round()]).toEqual([1, 1, 1])
  })
})
