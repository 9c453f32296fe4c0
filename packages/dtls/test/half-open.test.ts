// Handshakes that clients have begun and not finished: whose they are, and what is kept of their datagrams.
import { virtualClock } from '@iopa/testing'
import { type DatagramReceiver, DEFAULT_LIMITS, type SecuredPeer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { HandshakeTable } from '../src/channel/handshake-table.ts'
import { endpointKey } from '../src/channel/session-table.ts'
import { dtls } from '../src/index.ts'
import { readRecord } from '../src/records/record.ts'
import { KEY } from './channels.ts'

describe('a table of handshakes', () => {
  const setUp = () => {
    const table = new HandshakeTable(virtualClock())
    let port = 1000
    const begin = (address: string, by: 'client' | 'us' = 'client'): number | undefined => {
      const hello = by === 'client' ? new Uint8Array(32) : undefined
      if (by === 'client' && !table.admit(address)) return undefined
      const peer = { address, port: port++ }
      const handshake = { due: Number.POSITIVE_INFINITY, expire: () => undefined, fail: () => table.delete(peer) }
      table.add({ handshake: handshake as never, peer, cid: undefined, hello })
      return peer.port
    }
    const isThere = (address: string, at: number): boolean => table.at(endpointKey(address, at)) !== undefined
    return { table, begin, isThere }
  }

  test('has room for a client when 64 addresses have taken all of it: the oldest of one of them makes way', () => {
    const { table, begin, isThere } = setUp()
    const first = begin('10.0.0.0')!
    for (let count = 1; count < 1024; count++) expect(begin(`10.0.0.${count % 64}`)).toBeDefined()
    expect([table.size, begin('10.0.0.0')]).toEqual([1024, undefined])
    expect(begin('192.0.2.1')).toBeDefined()
    expect([table.size, isThere('10.0.0.0', first)]).toEqual([1024, false])
    // One that has as many as the others displaces nobody.
    for (let count = 1; count < 15; count++) expect(begin('192.0.2.1')).toBeDefined()
    expect(begin('192.0.2.1')).toBeUndefined()
  })

  test('counts an IPv6 network of 64 bits as one address', () => {
    const { begin } = setUp()
    for (let count = 0; count < 16; count++) expect(begin(`2001:db8::${count.toString(16)}`)).toBeDefined()
    expect([begin('2001:db8::ffff'), begin('2001:db8:0:1::1')]).toEqual([undefined, expect.any(Number)])
  })

  test('neither counts nor displaces handshakes that this side has begun', () => {
    const { table, begin, isThere } = setUp()
    const own = Array.from({ length: 20 }, () => begin('10.0.0.1', 'us')!)
    for (let count = 0; count < 16; count++) expect(begin('10.0.0.1')).toBeDefined()
    expect(begin('10.0.0.1')).toBeUndefined()
    for (const port of own) table.delete({ address: '10.0.0.1', port })
    expect([table.size, isThere('10.0.0.1', own[0]!), begin('10.0.0.1')]).toEqual([16, false, undefined])
  })
})

test('a handshake keeps copies of what it needs, and not the datagrams', async () => {
  const clock = virtualClock()
  const queue: (() => void)[] = []
  const ends: { receiver: DatagramReceiver | undefined; port: number }[] = []
  const channel = (accept: boolean, change: (bytes: Buffer) => readonly Buffer[]) => {
    const end = { receiver: undefined as DatagramReceiver | undefined, port: 1000 + ends.length }
    ends.push(end)
    const below = {
      localAddress: '127.0.0.1',
      localPort: end.port,
      raw: undefined,
      open: (receiver: DatagramReceiver): void => void (end.receiver = receiver),
      send: (bytes: Uint8Array, port: number): void => {
        for (const datagram of change(Buffer.from(bytes)))
          queue.push(() => {
            ends.find(other => other.port === port)?.receiver?.message(datagram, '127.0.0.1', end.port)
            // The memory has another use from now on.
            datagram.fill(0xff)
          })
      },
      join: () => undefined,
      leave: () => undefined,
      close: async () => undefined
    }
    return dtls({ psk: { sensor: KEY } }).over(below as never, { clock, limits: DEFAULT_LIMITS, logger: console, accept })
  }
  const opened: SecuredPeer[] = []
  const server = channel(true, bytes => [bytes])
  // The Finished arrives before what must precede it, and is held.
  const client = channel(false, bytes => {
    const records: Buffer[] = []
    for (let record = readRecord(bytes, 0); record !== undefined; record = readRecord(bytes, record.end))
      records.push(Buffer.from(bytes.subarray(record.start, record.end)))
    return records.toReversed().toSorted((one, other) => Number(other[4] === 1) - Number(one[4] === 1) || other[0]! - one[0]!)
  })
  const quiet = { message: () => undefined, closed: () => undefined, error: () => undefined }
  server.open({ ...quiet, opened: peer => void opened.push(peer) })
  client.open({ ...quiet, opened: () => undefined })
  const connecting = client.connect({ host: 'localhost', address: '127.0.0.1', port: 1000 }, new AbortController().signal)
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) next()
  await connecting
  expect(opened.map(({ user }) => user?.id)).toEqual(['sensor'])
})
