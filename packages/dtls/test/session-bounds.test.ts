// A session at the ends of its numbers, and a channel under forged records.
import type { DatagramEndpoint, SecuredEnd } from '@iopa/transport'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { ALERT } from '../src/alerts.ts'
import { Session, type SessionOwner } from '../src/channel/session.ts'
import { Opener, Sealer } from '../src/records/protection.ts'
import { MOST_RECORDS, readRecord } from '../src/records/record.ts'
import { RecordCipher } from '../src/records/record-cipher.ts'
import { RecordLayer } from '../src/records/record-layer.ts'
import { AES_128_CCM_8, type Aead } from '../src/suites/aead.ts'
import { KEY, world } from './channels.ts'

const A: DatagramEndpoint = { address: '127.0.0.1', port: 1 }
const B: DatagramEndpoint = { address: '127.0.0.1', port: 2 }
const keys = (aead: Aead, fill: number) => ({ cipher: new RecordCipher(aead), secrets: Buffer.alloc(20, fill), at: 0 })

/** Two sessions of one association, whose first record numbers may be chosen. */
const sessions = ({ aead = AES_128_CCM_8, first = 0 }: { aead?: Aead; first?: number } = {}) => {
  const log = { received: [] as string[], ended: [] as [string, SecuredEnd][], sent: [] as Buffer[] }
  const create = (name: string, own: number, peer: number, from: DatagramEndpoint, to: () => Session): Session => {
    const records = new RecordLayer(0)
    records.sealer = new Sealer(keys(aead, own), new Uint8Array(0), first)
    records.opener = new Opener(keys(aead, peer), false)
    const owner: SessionOwner = {
      sweeps: 0,
      transmit: datagram => {
        log.sent.push(Buffer.from(datagram))
        to().receive(readRecord(Buffer.from(datagram), 0)!, from)
      },
      deliver: bytes => void log.received.push(Buffer.from(bytes).toString()),
      moved: () => undefined,
      ended: (_, reason) => void log.ended.push([name, reason])
    }
    return new Session(owner, { identity: { user: undefined }, records, lastFlight: [], peerFinished: 5, ownCid: undefined }, from === A ? B : A)
  }
  const a: Session = create('a', 1, 2, A, () => b)
  const b: Session = create('b', 2, 1, B, () => a)
  return { ...log, a, b }
}

const forged = (sequence: number, length: number): Buffer => {
  const record = Buffer.alloc(13 + length, 7)
  record.set([23, 0xfe, 0xfd, 0, 1])
  record.writeUIntBE(sequence, 5, 6)
  record.writeUInt16BE(length, 11)
  return record
}

describe('a session', () => {
  test.each([
    ['a ClientHello', 1],
    ['a HelloRequest', 0],
    ['a message that does not exist', 99]
  ])('renegotiation: goes on after %s, which has a warning as its answer', (_, type) => {
    const { a, b, received, ended, sent } = sessions()
    const sealer = new Sealer(keys(AES_128_CCM_8, 2), new Uint8Array(0), 9)
    a.receive(readRecord(sealer.seal(22, Buffer.from([type, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])), 0)!, B)
    const opener = new Opener(keys(AES_128_CCM_8, 1), false)
    const answers = sent.map(record => opener.open(readRecord(record, 0)!))
    expect(answers).toEqual([{ type: 21, content: Buffer.from([1, ALERT.NO_RENEGOTIATION]) }])
    a.send(Buffer.from('to b'))
    b.send(Buffer.from('to a'))
    expect([received, ended]).toEqual([['to b', 'to a'], []])
  })
})

describe('a session near record number 2^48', () => {
  test('sends the last records, announces the end, and uses no number twice', () => {
    const { a, received, ended, sent } = sessions({ first: MOST_RECORDS - 3 })
    for (const text of ['one', 'two', 'three', 'four']) a.send(Buffer.from(text))
    expect(received).toEqual(['one', 'two', 'three'])
    expect(ended).toEqual([
      ['b', 'closed'],
      ['a', 'lost']
    ])
    const numbers = sent.map(record => record.readUIntBE(5, 6))
    expect(numbers.every(number => number < 2 ** 48)).toBe(true)
    expect(numbers.slice(0, 4)).toEqual([0, 1, 2, 3].map(number => MOST_RECORDS - 3 + number))
  })

  test('ends when answers to its peer have used up the numbers', () => {
    const { a, ended, sent } = sessions({ first: MOST_RECORDS - 2 })
    const sealer = new Sealer(keys(AES_128_CCM_8, 2), new Uint8Array(0))
    // A ClientHello inside of the session: a renegotiation.
    for (let count = 0; count < 5; count++) a.receive(readRecord(sealer.seal(22, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])), 0)!, B)
    expect(ended.filter(([name]) => name === 'a')).toEqual([['a', 'lost']])
    expect(sent.every(record => record.readUIntBE(5, 6) < 2 ** 48)).toBe(true)
  })

  test('takes the highest number, and each number once', () => {
    const { a, received } = sessions()
    const sealer = new Sealer(keys(AES_128_CCM_8, 2), new Uint8Array(0), 2 ** 48 - 2)
    const records = ['last but one', 'last'].map(text => readRecord(sealer.seal(23, Buffer.from(text)), 0)!)
    for (const record of [...records, ...records]) a.receive(record, B)
    expect(received).toEqual(['last but one', 'last'])
  })
})

describe('a session under forged records', () => {
  test('ends with the last failed decryption that its suite allows, and not before', () => {
    expect(AES_128_CCM_8.mostFailures).toBeLessThanOrEqual(2 ** 20)
    const { a, b, ended, received, sent } = sessions({ aead: { ...AES_128_CCM_8, mostFailures: 1000 } })
    for (let count = 0; count < 999; count++) a.receive(readRecord(forged(count, 16 + (count % 8)), 0)!, B)
    b.send(Buffer.from('still there'))
    expect([received, ended]).toEqual([['still there'], []])
    const before = sent.length
    a.receive(readRecord(forged(5000, 16), 0)!, B)
    expect(ended).toEqual([
      ['b', 'closed'],
      ['a', 'lost']
    ])
    // The end is announced, once by either side.
    expect(sent.length - before).toBe(2)
  })

  test('counts no record that is too short or too long to be one, and no replay', () => {
    const { a, b, ended, sent } = sessions({ aead: { ...AES_128_CCM_8, mostFailures: 1 } })
    b.send(Buffer.from('once'))
    for (const length of [0, 1, 15, 16_401, 18_432]) a.receive(readRecord(forged(9, length), 0)!, B)
    for (let count = 0; count < 10; count++) a.receive(readRecord(sent[0]!, 0)!, B)
    expect(ended).toEqual([])
  })

  test.each(['AES-CCM-8', 'AES-CCM', 'AES-GCM', 'ChaCha20'])('an empty content needs its tag, too: %s', async name => {
    const suites = await import('../src/suites/aead.ts')
    const aead = { 'AES-CCM-8': AES_128_CCM_8, 'AES-CCM': suites.AES_128_CCM, 'AES-GCM': suites.AES_128_GCM, ChaCha20: suites.CHACHA20_POLY1305 }[
      name
    ]!
    const direction = { cipher: new RecordCipher(aead), secrets: Buffer.alloc(aead.keyLength + aead.saltLength, 1), at: 0 }
    const opener = new Opener(direction, false)
    expect(opener.open(readRecord(forged(3, aead.explicitLength + aead.tagLength), 0)!)).toBeUndefined()
    expect(opener.highest).toBe(-1)
    expect(opener.open(readRecord(new Sealer(direction, new Uint8Array(0)).seal(23, new Uint8Array(0)), 0)!)?.content).toHaveLength(0)
  })
})

describe('a channel', () => {
  afterEach(() => void vi.restoreAllMocks())

  const pair = async () => {
    const created = world()
    const options = { psk: { sensor: KEY } }
    const [server, client] = [await created.open(options, { accept: true }), await created.open(options)]
    const peer = await created.connect(client)
    await created.settle()
    return {
      ...created,
      server,
      client,
      peer,
      from: { address: '127.0.0.1', port: client.channel.localPort },
      to: { address: '127.0.0.1', port: 5684 }
    }
  }

  test('tries one record of a datagram that is forged, however many it holds', async () => {
    const { network, settle, server, from, to, peer, client } = await pair()
    const open = vi.spyOn(Opener.prototype, 'open')
    network.inject(Buffer.concat(Array.from({ length: 1000 }, (_, index) => forged(100 + index, 24))), from, to)
    await settle()
    expect([open.mock.calls.length, server.closed]).toEqual([1, []])
    peer.send(Buffer.from('alive'))
    await settle()
    expect(client.received).toHaveLength(1)
  })

  test('begins nothing while it closes', async () => {
    const { client, server, clock, settle } = await pair()
    // A caller that answers the end of a session with another connection.
    const outcomes: unknown[] = []
    const closed = client.closed
    vi.spyOn(closed, 'push').mockImplementation(() => {
      const target = { address: '127.0.0.1', host: 'localhost', port: 5684 }
      client.channel.connect(target, new AbortController().signal).catch((error: unknown) => outcomes.push(error))
      return 0
    })
    await client.channel.close()
    await server.channel.close()
    expect(outcomes).toMatchObject([{ code: 'closed' }])
    await settle()
    expect(clock.pending).toBe(0)
  })
})
