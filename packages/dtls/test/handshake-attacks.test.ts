// The attacks on the messages of a handshake, each in a test of its own; those on a channel are in attacks.test.ts.
import { describe, expect, test } from 'vitest'
import type { HandshakeFailure } from '../src/alerts.ts'
import { ClientHandshake } from '../src/handshake/client-handshake.ts'
import { type ClientHello, clientHelloBytes, serverHelloBytes } from '../src/handshake/hello.ts'
import { MESSAGE, messageHeader } from '../src/handshake/message.ts'
import { Reassembly, readFragments } from '../src/handshake/reassembly.ts'
import { ServerHandshake } from '../src/handshake/server-handshake.ts'
import { Transcript } from '../src/handshake/transcript.ts'
import { pskKeyExchange } from '../src/key-exchange/psk.ts'
import { PskKeys, readIdentity } from '../src/key-exchange/psk-keys.ts'
import { contentOf, plainRecord, readRecord } from '../src/records/record.ts'
import { RecordCiphers } from '../src/records/record-cipher.ts'
import { masterSecret, pskPremaster, verifyData } from '../src/suites/key-schedule.ts'
import { KEY } from './channels.ts'
import { meet, TARGET } from './handshake-pair.ts'

const HELLO: ClientHello = {
  version: 0xfefd,
  random: Buffer.alloc(32, 1),
  sessionId: new Uint8Array(0),
  cookie: new Uint8Array(0),
  suites: [0xc0a8],
  compressions: Uint8Array.of(0),
  extensions: new Map()
}
const clock = { now: () => 0, elapsed: () => 0, setTimeout: () => undefined, clearTimeout: () => undefined }
const IDENTITY = Buffer.from('\0\x06sensor')
let time = 0
const exchanges = [pskKeyExchange(new PskKeys({ sensor: KEY }, clock), { identity: 'sensor', key: KEY }, undefined)]

interface Machine<Kind> {
  readonly handshake: Kind
  readonly sent: Buffer[]
  readonly failures: HandshakeFailure[]
  /** How often it has succeeded. */
  established(): number
}

const machine = <Kind>(
  create: (setting: {
    events: ConstructorParameters<typeof ServerHandshake>[0]['events']
    now(): number
    cid: undefined
    ciphers: RecordCiphers
  }) => Kind
): Machine<Kind> => {
  const sent: Buffer[] = []
  const failures: HandshakeFailure[] = []
  let established = 0
  const events = {
    send: (datagram: Uint8Array): void => void sent.push(Buffer.from(datagram)),
    established: (): void => void established++,
    failed: (failure: HandshakeFailure): void => void failures.push(failure),
    progressed: (): void => undefined
  }
  time = 0
  return {
    handshake: create({ events, now: () => time, cid: undefined, ciphers: new RecordCiphers() }),
    sent,
    failures,
    established: () => established
  }
}

const serverWith = (hello: ClientHello): Machine<ServerHandshake> => {
  const message = { type: MESSAGE.CLIENT_HELLO, sequence: 1, body: clientHelloBytes(hello) }
  const created = machine(
    setting => new ServerHandshake({ ...setting, exchanges, sessions: undefined, peer: TARGET, hello: message, recordSequence: 1 })
  )
  created.handshake.begin()
  return created
}

const messageRecord = (type: number, sequence: number, body: Uint8Array): ReturnType<typeof readRecord> =>
  readRecord(plainRecord(22, 0xfefd, 9, Buffer.concat([messageHeader(type, body.length, sequence), body])), 0)

describe('downgrade', () => {
  test.each([
    ['a client that speaks DTLS 1.0 alone', { version: 0xfeff }, 70],
    ['a client of another protocol', { version: 0x0303 }, 70],
    ['no common suite', { suites: [0x00ae, 0x1301] }, 40],
    ['no suite but the signal', { suites: [0x00ff] }, 40],
    ['compression alone', { compressions: Uint8Array.of(1) }, 47],
    ['a renegotiation', { extensions: new Map([[0xff01, Buffer.from([12, ...Buffer.alloc(12)])]]) }, 40]
  ])('a server refuses %s', (_, change, alert) => {
    const { sent, failures } = serverWith({ ...HELLO, ...change })
    expect(failures.map(failure => failure.alert)).toEqual([alert])
    expect(sent.map(datagram => [...datagram.subarray(-2)])).toEqual([[2, alert]])
  })

  test.each([
    ['another version', { version: 0xfeff }, 70],
    ['a suite that was not offered', { suite: 0x1301 }, 47],
    ['an extension that was not sent', { extensions: new Map([[16, Buffer.alloc(1)]]) }, 110],
    ['a renegotiation', { extensions: new Map([[0xff01, Buffer.from([1, 7])]]) }, 40]
  ])('a client refuses a server that chooses %s', (_, change, alert) => {
    const { handshake, failures } = machine(setting => new ClientHandshake({ ...setting, exchanges, sessions: undefined, target: TARGET }))
    handshake.begin()
    const body = serverHelloBytes({
      version: 0xfefd,
      random: Buffer.alloc(32),
      sessionId: new Uint8Array(0),
      suite: 0xc0a8,
      extensions: new Map(),
      ...change
    })
    handshake.receive(messageRecord(MESSAGE.SERVER_HELLO, 0, body)!)
    expect(failures.map(failure => failure.alert)).toEqual([alert])
  })

  test('a hello whose suites were cut on the way fails the handshake', async () => {
    const over = (datagram: Uint8Array, from: string, index: number): Uint8Array[] => {
      // The first suite becomes one that does not exist; there is no cookie here to notice.
      if (from === 'client' && index === 0) datagram[13 + 12 + 34 + 1 + 1 + 2] = 0xff
      return [datagram]
    }
    const { server } = await meet({ psk: { sensor: KEY } }, { psk: { sensor: KEY } }, { over })
    expect(server).toBeUndefined()
  })
})

describe('Finished', () => {
  const flight = (): Machine<ServerHandshake> => {
    const created = serverWith(HELLO)
    created.handshake.receive(messageRecord(MESSAGE.CLIENT_KEY_EXCHANGE, 2, IDENTITY)!)
    return created
  }

  /** What a client with the key writes into its Finished. */
  const rightFinished = ({ sent }: Machine<ServerHandshake>): Uint8Array => {
    const transcript = new Transcript()
    transcript.add(MESSAGE.CLIENT_HELLO, 1, clientHelloBytes(HELLO))
    let random = Buffer.alloc(0)
    for (const datagram of sent)
      for (let record = readRecord(datagram, 0); record !== undefined; record = readRecord(datagram, record.end))
        for (const { type, sequence, bytes } of readFragments(contentOf(record))!) {
          transcript.add(type, sequence, bytes)
          if (type === MESSAGE.SERVER_HELLO) random = Buffer.from(bytes.subarray(2, 34))
        }
    transcript.add(MESSAGE.CLIENT_KEY_EXCHANGE, 2, IDENTITY)
    return verifyData('client', masterSecret(pskPremaster(KEY), HELLO.random, random), transcript.digest())
  }

  test.each([
    ['a forged one', () => Buffer.alloc(12)],
    ['one of a client with the key', rightFinished]
  ])('before ChangeCipherSpec, in the clear: fails the handshake as a wrong key does, also %s', (_, content) => {
    const created = flight()
    const { handshake, failures } = created
    handshake.receive(messageRecord(MESSAGE.FINISHED, 3, content(created))!)
    expect([failures, handshake.due, created.established()]).toEqual([[], 5500, 0])
    time = 5500
    handshake.expire()
    expect(failures.map(({ alert }) => alert)).toEqual([51])
    expect(created.established()).toBe(0)
  })

  test('before ChangeCipherSpec, protected: waits for it', async () => {
    const swapped = (datagram: Uint8Array, from: string, index: number): Uint8Array[] => {
      if (from !== 'client' || index !== 1) return [datagram]
      const records: Uint8Array[] = []
      for (let record = readRecord(datagram, 0); record !== undefined; record = readRecord(datagram, record.end))
        records.push(datagram.subarray(record.start, record.end))
      const [exchange, change, finished] = records as [Uint8Array, Uint8Array, Uint8Array]
      return [finished, exchange, change]
    }
    const { server } = await meet({ psk: { sensor: KEY } }, { psk: { sensor: KEY } }, { over: swapped })
    expect(server).toHaveProperty('identity.user.id', 'sensor')
  })

  test('without ChangeCipherSpec: is not opened', async () => {
    const cut = (datagram: Uint8Array, from: string, index: number): Uint8Array[] => {
      if (from !== 'client' || index !== 1) return [datagram]
      const change = readRecord(datagram, readRecord(datagram, 0)!.end)!
      return [datagram.subarray(0, change.start), datagram.subarray(change.end)]
    }
    const { server, client } = await meet({ psk: { sensor: KEY } }, { psk: { sensor: KEY } }, { over: cut })
    expect([server, client]).toEqual([undefined, undefined])
  })

  test('under another key: is not opened', async () => {
    const { server } = await meet({ psk: { sensor: KEY } }, { psk: { sensor: KEY.toReversed() } })
    expect(server).toBeUndefined()
  })
})

describe('fragments', () => {
  const bytes = Buffer.from('0123456789')
  const part = (offset: number, end: number, change: Partial<{ length: number; type: number; bytes: Buffer }> = {}) => ({
    type: 1,
    sequence: 0,
    length: 10,
    offset,
    bytes: bytes.subarray(offset, end),
    ...change
  })

  test('overlap: is accepted with the same bytes, and refused with others', () => {
    const reassembly = new Reassembly(100, 0)
    expect(reassembly.add(part(0, 6))).toBe(true)
    expect(reassembly.add(part(4, 10, { bytes: Buffer.from('xx6789') }))).toBe(false)
    expect(reassembly.take()).toBeUndefined()
    expect(reassembly.add(part(4, 10))).toBe(true)
    expect(reassembly.take()?.body).toEqual(bytes)
  })

  test('holes: nothing is given before they are filled', () => {
    const reassembly = new Reassembly(100, 0)
    for (const [offset, end] of [
      [0, 3],
      [7, 10],
      [3, 6],
      [0, 6]
    ] as const) {
      reassembly.add(part(offset, end))
      expect(reassembly.take()).toBeUndefined()
    }
    reassembly.add(part(6, 7))
    expect(reassembly.take()?.body).toEqual(bytes)
  })

  test('changing total length, or type: is refused', () => {
    const reassembly = new Reassembly(100, 0)
    reassembly.add(part(0, 6))
    expect([reassembly.add(part(6, 10, { length: 12 })), reassembly.add(part(6, 10, { type: 2 }))]).toEqual([false, false])
  })

  test('too far ahead, already read, or larger than the room: is refused', () => {
    const reassembly = new Reassembly(15, 3)
    expect([2, 11].map(sequence => reassembly.add({ ...part(0, 10), sequence }))).toEqual([false, false])
    expect([3, 4].map(sequence => reassembly.add({ ...part(0, 10), sequence }))).toEqual([true, false])
  })
})

describe('an identity', () => {
  test.each([
    ['of 128 bytes', Buffer.alloc(128, 'a'), 'a'.repeat(128)],
    ['of 129 bytes', Buffer.alloc(129, 'a'), undefined],
    ['of invalid UTF-8', Buffer.from([0x61, 0xff]), undefined],
    ['with NUL', Buffer.from('a\0b'), undefined],
    ['that is empty', Buffer.alloc(0), undefined],
    ['with a byte order mark', Buffer.from('\ufeffa'), '\ufeffa']
  ])('%s', (_, bytes, text) => {
    expect(readIdentity(bytes)).toBe(text)
  })

  test.each(['__proto__', 'constructor', 'toString'])('named %s finds no key in a table', identity => {
    expect(new PskKeys({ sensor: KEY }, clock).find(identity, new AbortController().signal)).toBeUndefined()
  })
})

test('64 look-ups run at once, and others when their turn has come', async () => {
  const finish: ((key: Uint8Array) => void)[] = []
  const keys = new PskKeys(() => new Promise(resolve => void finish.push(resolve)), clock)
  const found = Array.from({ length: 100 }, (_, number) => keys.find(String(number), new AbortController().signal))
  expect(finish).toHaveLength(64)
  for (let number = 0; number < 100; number++) {
    finish[number]!(KEY)
    await found[number]
  }
  expect(await Promise.all(found)).toEqual(Array.from({ length: 100 }, () => KEY))
})
