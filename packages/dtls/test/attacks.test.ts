// The attacks on a channel, each in a test of its own; those on the handshake's messages are in attacks-handshake.test.ts.
import type { SecuredPeer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import type { DtlsOptions, PskLookup } from '../src/index.ts'
import { KEY, type OpenChannel, type World, world } from './channels.ts'

const SERVER = { address: '127.0.0.1', port: 5684 }
const OPTIONS: DtlsOptions = { psk: { sensor: KEY } }

interface Pair extends World {
  readonly server: OpenChannel
  readonly client: OpenChannel
  readonly peer: SecuredPeer
  /** The client's datagrams from an index of the trace on. */
  sent(from?: number): Buffer[]
  /** Sends bytes to the server under the client's address, or another one. */
  inject(bytes: Uint8Array, from?: { address: string; port: number }): Promise<void>
}

const pair = async (options: DtlsOptions = OPTIONS): Promise<Pair> => {
  const created = world()
  const server = await created.open(options, { accept: true })
  const client = await created.open(options)
  const peer = await created.connect(client)
  await created.settle()
  const own = { address: '127.0.0.1', port: client.channel.localPort }
  return {
    ...created,
    server,
    client,
    peer,
    sent: (from = 0) => created.network.trace.slice(from).flatMap(({ from: { port }, bytes }) => (port === own.port ? [Buffer.from(bytes)] : [])),
    inject: async (bytes, from = own) => {
      created.network.inject(bytes, from, SERVER)
      await created.settle()
    }
  }
}

/** The session still carries datagrams both ways. */
const expectAlive = async ({ client, peer, settle }: Pair): Promise<void> => {
  const before = client.received.length
  peer.send(Buffer.from('alive'))
  await settle()
  expect(client.received.slice(before).map(({ text }) => text)).toEqual(['alive'])
}

describe('a server in a session', () => {
  test('replay: delivers a record once', async () => {
    const both = await pair()
    both.peer.send(Buffer.from('open the door'))
    await both.settle()
    const record = both.sent().at(-1)!
    for (let time = 0; time < 3; time++) await both.inject(record)
    expect(both.server.received).toHaveLength(1)
    await expectAlive(both)
  })

  test('truncation: drops each beginning of a record', async () => {
    const both = await pair()
    both.peer.send(Buffer.from('open the door'))
    await both.settle()
    const record = both.sent().at(-1)!
    both.peer.send(Buffer.from('next'))
    for (let length = 0; length < record.length; length++) await both.inject(record.subarray(0, length))
    expect(both.server.received.map(({ text }) => text)).toEqual(['open the door', 'next'])
    await expectAlive(both)
  })

  test('forged epoch-0 alert: drops it', async () => {
    const both = await pair()
    for (const alert of [0, 10, 40, 50])
      for (const level of [1, 2]) await both.inject(Buffer.from([21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, level, alert]))
    expect(both.server.closed).toEqual([])
    await expectAlive(both)
  })

  test('bad-MAC record: drops it without an answer', async () => {
    const both = await pair()
    both.peer.send(Buffer.from('open the door'))
    await both.settle()
    const record = both.sent().at(-1)!
    const before = both.network.trace.length
    for (let at = 0; at < record.length; at++) {
      const forged = Buffer.from(record)
      forged[at]! ^= 1
      await both.inject(forged)
    }
    expect(both.server.received).toHaveLength(1)
    expect(both.network.trace.slice(before).filter(({ from }) => from.port === SERVER.port)).toEqual([])
    await expectAlive(both)
  })

  test('1,000 forged records: neither end the session nor shut its window', async () => {
    const both = await pair()
    const before = both.network.trace.length
    const forged = Buffer.concat([Buffer.from([23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 32]), Buffer.alloc(32)])
    for (let count = 0; count < 1000; count++) {
      forged.writeUIntBE(2 ** 48 - 1 - count, 5, 6)
      both.network.inject(forged, { address: '127.0.0.1', port: both.client.channel.localPort }, SERVER)
    }
    await both.settle()
    expect(both.network.trace.slice(before).filter(({ from }) => from.port === SERVER.port)).toEqual([])
    await expectAlive(both)
  })

  test('epoch 0 after the handshake: ignores all of the handshake that comes again', async () => {
    const both = await pair()
    const before = both.network.trace.length
    for (const datagram of both.sent().slice(0, -1)) await both.inject(datagram)
    await both.settle(15_000)
    // A HelloVerifyRequest for the hello without a cookie, and the first flight for that with one, sent four times; never the last flight.
    const answers = both.network.trace.slice(before).filter(({ from }) => from.port === SERVER.port)
    expect(answers.map(({ bytes }) => [bytes[0], bytes[13]])).toEqual([[22, 3], ...Array.from({ length: 4 }, () => [22, 2])])
    expect(both.server.closed).toEqual([])
    await expectAlive(both)
  })

  test('duplicate epoch-0 records: do not make it send its flight again', async () => {
    const both = await pair()
    const before = both.network.trace.length
    const last = both.sent().at(-1)!
    // ClientKeyExchange and ChangeCipherSpec, without the Finished.
    const end = 13 + last.readUInt16BE(11)
    await both.inject(last.subarray(0, end))
    await both.inject(last.subarray(end, end + 14))
    expect(both.network.trace.slice(before).filter(({ from }) => from.port === SERVER.port)).toEqual([])
    await expectAlive(both)
  })

  test('a ClientHello from the address of a session changes nothing before its handshake has finished', async () => {
    const both = await pair()
    const stranger = await both.open({ psk: { sensor: KEY.toReversed() } }, { port: 40_000 })
    // The datagrams of a stranger under the address of the client.
    both.network.script = ({ from, to, bytes }) => {
      if (from.port === 40_000) {
        both.network.inject(bytes, { address: '127.0.0.1', port: both.client.channel.localPort }, SERVER)
        return 'drop'
      }
      if (to.port === both.client.channel.localPort && bytes[0] === 22) both.network.inject(bytes, from, { address: '127.0.0.1', port: 40_000 })
      return undefined
    }
    const failing = both.clock.runUntil(both.connect(stranger).catch((error: unknown) => error))
    expect(await failing).toMatchObject({ code: 'handshake-failed' })
    both.network.script = undefined
    expect(both.server.closed).toEqual([])
    await expectAlive(both)
  })

  test('a second handshake from the same address makes another peer, and ends the first', async () => {
    const both = await pair()
    const first = both.server.opened[0]!
    // The server does not hear that the client has gone.
    both.network.script = ({ to }) => (to.port === SERVER.port ? 'drop' : undefined)
    await both.client.channel.close()
    await both.settle()
    both.network.script = undefined
    const again = await both.open({ psk: { sensor: KEY } }, { port: both.client.channel.localPort })
    await both.connect(again)
    await both.settle()
    expect(both.server.opened).toHaveLength(2)
    expect(both.server.opened[1]).not.toBe(first)
    expect(both.server.opened[1]!.id).not.toBe(first.id)
    expect(both.server.closed).toEqual([{ peer: first, reason: 'lost' }])
  })
})

describe('before the cookie', () => {
  test('cookie from another address: gives another cookie instead of a handshake', async () => {
    const both = await pair()
    const hello = both.sent()[1]!
    for (const from of [
      { address: '127.0.0.1', port: 40_000 },
      { address: '10.0.0.9', port: both.client.channel.localPort }
    ]) {
      const before = both.network.trace.length
      await both.inject(hello, from)
      const [, answer] = both.network.trace.slice(before)
      expect([answer!.bytes[13], answer!.to]).toEqual([3, from])
    }
  })

  test('altered second ClientHello: gives another cookie, whichever byte was altered', async () => {
    const both = await pair()
    const hello = both.sent()[1]!
    for (let at = 25; at < hello.length; at++) {
      const before = both.network.trace.length
      const altered = Buffer.from(hello)
      altered[at]! ^= 1
      await both.inject(altered)
      const answers = both.network.trace.slice(before).filter(({ from }) => from.port === SERVER.port)
      // Nothing for one that is malformed; never the flight of a handshake.
      expect(answers.every(({ bytes }) => bytes[13] === 3)).toBe(true)
    }
  })

  test('an answer has the record number of the hello and version 1.0, and is not larger', async () => {
    const both = await pair()
    const hello = Buffer.from(both.sent()[0]!)
    hello.writeUIntBE(77, 5, 6)
    const before = both.network.trace.length
    await both.inject(hello)
    const answer = Buffer.from(both.network.trace.slice(before)[1]!.bytes)
    expect([answer.readUInt16BE(1), answer.readUIntBE(5, 6)]).toEqual([0xfeff, 77])
    expect(answer.length).toBeLessThanOrEqual(hello.length)
  })

  test('a cookie is valid under the key before, and not longer', async () => {
    const both = await pair()
    const hello = both.sent()[1]!
    const answerTo = async (): Promise<number | undefined> => {
      const before = both.network.trace.length
      await both.inject(hello)
      const answers = both.network.trace.slice(before).filter(({ from }) => from.port === SERVER.port)
      await both.settle(11_000)
      return answers[0]?.bytes[13]
    }
    await both.settle(60_000)
    expect(await answerTo()).toBe(2)
    await both.settle(60_000)
    expect(await answerTo()).toBe(3)
  })

  test('a hello with a record number near 2^48 is not answered', async () => {
    const both = await pair()
    const before = both.network.trace.length
    for (const hello of both.sent().slice(0, 2)) {
      hello.writeUIntBE(2 ** 48 - 1, 5, 6)
      await both.inject(hello)
    }
    expect(both.network.trace.slice(before).filter(({ from }) => from.port === SERVER.port)).toEqual([])
  })
})

describe('a handshake with a key that is not right', () => {
  const lookups: readonly [string, PskLookup | undefined][] = [
    ['a wrong key', () => KEY.toReversed()],
    ['an unknown identity', () => undefined],
    ['an empty key', () => new Uint8Array(0)],
    [
      'a look-up that throws',
      () => {
        throw new Error('down')
      }
    ],
    [
      'a look-up that rejects',
      async () => {
        throw new Error('down')
      }
    ],
    ['a look-up that hangs', () => new Promise(() => {})],
    ['a look-up that takes four seconds and finds nothing', undefined]
  ]

  test.each(lookups)('is refused by the same flights at the same times: %s', async (_, lookup) => {
    const { open, connect, network, clock } = world()
    const slow: PskLookup = () => new Promise(resolve => clock.setTimeout(() => resolve(undefined), 4000))
    let calls = 0
    const psk: PskLookup = (identity, signal) => {
      calls++
      return (lookup ?? slow)(identity, signal)
    }
    const server = await open({ psk }, { accept: true })
    const client = await open(OPTIONS)
    await expect(connect(client)).rejects.toMatchObject({
      code: 'handshake-failed',
      message: expect.stringContaining('The server has refused the handshake (decrypt_error): check identity, key')
    })
    // The alert may be forged: the client sends its flight three times more.
    expect(clock.elapsed()).toBe(5506 + 7000)
    const shown = network.trace.flatMap(({ from, bytes, time }) =>
      from.port === SERVER.port ? [[time, bytes.length, bytes[0], bytes[bytes.length - 1]]] : []
    )
    expect(shown.map(([time, , type]) => [time, type])).toEqual([
      [1, 22],
      [3, 22],
      [5505, 21]
    ])
    expect(shown.at(-1)).toEqual([5505, 15, 21, 51])
    expect([calls, server.opened, server.refused]).toEqual([1, [], ['tls-handshake-failed']])
  })

  test('a look-up that answers twice counts once', async () => {
    const { open, connect } = world()
    const twice = { then: (resolve: (key: Uint8Array) => void) => [resolve(KEY), resolve(KEY.toReversed())] }
    const server = await open({ psk: () => twice as never }, { accept: true })
    const client = await open(OPTIONS)
    await connect(client)
    expect(server.opened.map(({ user }) => user?.id)).toEqual(['sensor'])
  })

  test('a look-up that takes four seconds and finds the key leads to a session', async () => {
    const { open, connect, clock } = world()
    const server = await open({ psk: () => new Promise(resolve => clock.setTimeout(() => resolve(KEY), 4000)) }, { accept: true })
    const client = await open(OPTIONS)
    await connect(client)
    expect([server.opened.length, clock.elapsed()]).toEqual([1, 4006])
  })
})

describe('bounds', () => {
  test('16 half-open handshakes from one address off loopback, which end after ten seconds', async () => {
    const { open, network, clock, settle } = world()
    const server = await open(OPTIONS, { accept: true })
    const silent = ({ bytes }: { bytes: Uint8Array }): 'drop' | undefined => (bytes[0] === 22 && bytes[13] === 16 ? 'drop' : undefined)
    network.script = silent
    for (let count = 0; count < 20; count++) {
      const client = await open(OPTIONS, { machine: '10.0.0.9', port: 30_000 + count })
      client.channel.connect({ ...SERVER, host: 'localhost' }, new AbortController().signal).catch(() => undefined)
      await settle(10)
    }
    expect(server.refused.filter(code => code === 'too-many-connections')).toHaveLength(4)
    const begun = clock.elapsed()
    await clock.runUntil(() => server.refused.filter(code => code === 'tls-handshake-failed').length === 16)
    expect(clock.elapsed() - begun).toBeLessThan(10_000)
  })

  test('sessions are limited per address, and in all where none is idle', async () => {
    const { open, settle, clock } = world()
    const server = await open(OPTIONS, { accept: true, limits: { connections: 3, connectionsPerAddress: 2, idleTimeout: 10_000 } })
    const from = async (machine: string): Promise<void> => {
      const client = await open(OPTIONS, { machine })
      await clock.runUntil(client.channel.connect({ ...SERVER, host: 'localhost' }, new AbortController().signal))
      await settle()
    }
    for (const machine of ['10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.2', '10.0.0.3']) await from(machine)
    expect([server.opened.length, server.refused]).toEqual([3, ['too-many-connections', 'too-many-connections']])
    await settle(15_000)
    await from('10.0.0.3')
    expect([server.opened.length, server.closed.map(({ reason }) => reason)]).toEqual([4, ['idle']])
  })

  test('a session that is silent for its idle time ends', async () => {
    const both = await pair({ ...OPTIONS, idle: 60_000 })
    await both.settle(59_000)
    expect(both.server.closed).toEqual([])
    await both.settle(40_000)
    expect(both.server.closed.map(({ reason }) => reason)).toEqual(['idle'])
    expect(both.clock.pending).toBe(0)
  })

  test('a record number near 2^48 ends the session instead of being used twice', async () => {
    const { Sealer } = await import('../src/records/protection.ts')
    const { RecordCipher } = await import('../src/records/record-cipher.ts')
    const { AES_128_CCM_8 } = await import('../src/suites/aead.ts')
    const sealer = new Sealer({ cipher: new RecordCipher(AES_128_CCM_8), secrets: Buffer.alloc(20), at: 0 }, new Uint8Array(0), 2 ** 48 - 2 ** 16 - 1)
    expect(sealer.isExhausted).toBe(false)
    sealer.seal(23, Buffer.from('last'))
    expect(sealer.isExhausted).toBe(true)
  })
})

describe('revocation', () => {
  test('ends the sessions of a user', async () => {
    const both = await pair()
    both.server.channel.revoke(({ user }) => user?.id === 'sensor')
    await both.settle()
    expect(both.server.closed.map(({ reason }) => reason)).toEqual(['revoked'])
    expect(both.client.closed.map(({ reason }) => reason)).toEqual(['closed'])
  })
})
