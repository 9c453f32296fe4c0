// What an attacker learns from a look-up, and what happens around one that is under way.

import { DEFAULT_LIMITS } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { dtls, type PskLookup } from '../src/index.ts'
import { readRecord } from '../src/records/record.ts'
import { KEY, type OpenChannel, type World, world } from './channels.ts'

const SERVER = { address: '127.0.0.1', port: 5684 }

/** A look-up that takes a time. */
const after = ({ clock }: World, milliseconds: number, key: Uint8Array | undefined): PskLookup =>
  milliseconds === 0 ? () => key : () => new Promise(resolve => clock.setTimeout(() => resolve(key), milliseconds))

const begin = ({ open }: World, psk: PskLookup): Promise<OpenChannel[]> =>
  Promise.all([open({ psk }, { accept: true }), open({ psk: { sensor: KEY } })])

describe('a client that looks for the time of a look-up', () => {
  /** What the server says after a ClientKeyExchange that is followed by this message in the clear. */
  const answersTo = async (message: Buffer, milliseconds: number, key: Uint8Array | undefined) => {
    const created = world()
    const { network, settle } = created
    const [, client] = (await begin(created, after(created, milliseconds, key))) as [OpenChannel, OpenChannel]
    let at = 0
    let isOurs = false
    network.script = ({ from, bytes }) => {
      if (isOurs || from.port === SERVER.port || bytes[13] !== 16) return undefined
      if (at === 0) {
        at = network.trace.length
        isOurs = true
        network.inject(bytes.subarray(0, readRecord(bytes, 0)!.end), from, SERVER)
        const next = Buffer.from(message)
        if (next[0] === 22) next.writeUInt16BE(Buffer.from(bytes).readUInt16BE(17) + 1, 17)
        network.inject(next, from, SERVER)
        isOurs = false
      }
      return 'drop'
    }
    client.channel.connect({ ...SERVER, host: 'localhost' }, new AbortController().signal).catch(() => undefined)
    await settle(9000)
    return network.trace.slice(at).flatMap(({ from, time, bytes }) => (from.port === SERVER.port ? [[time, bytes.length, ...bytes.slice(-2)]] : []))
  }
  const header = Buffer.from([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12])
  const messages: readonly [string, Buffer][] = [
    ['a message that does not exist', Buffer.concat([header, Buffer.from([99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])])],
    ['a ServerHelloDone', Buffer.concat([header, Buffer.from([14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])])],
    ['an alert', Buffer.from([21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40])]
  ]

  test.each(messages)('hears the same at the same time after %s', async (_, message) => {
    const cases = [
      [0, KEY],
      [0, undefined],
      [10, KEY],
      [2000, undefined],
      [60_000, KEY]
    ] as const
    const heard = await Promise.all(cases.map(([milliseconds, key]) => answersTo(message, milliseconds, key)))
    for (const answers of heard) expect(answers).toEqual(heard[0])
    expect(heard[0]).toEqual(message[0] === 22 ? [[expect.any(Number), 15, 2, 51]] : [])
    if (message[0] === 22) expect(heard[0]![0]![0]).toBeGreaterThan(5500)
  })
})

describe('a revocation', () => {
  test('during the look-up of its key ends the handshake of a user', async () => {
    const created = world()
    const [server, client] = (await begin(created, after(created, 1000, KEY))) as [OpenChannel, OpenChannel]
    const connecting = client.channel.connect({ ...SERVER, host: 'localhost' }, new AbortController().signal).catch((error: unknown) => error)
    await created.settle(500)
    // The key was read before it was removed.
    server.channel.revoke(({ user }) => user?.id === 'sensor')
    expect(await created.clock.runUntil(connecting, 60_000)).toMatchObject({ code: 'handshake-failed' })
    expect(server.opened).toEqual([])
  })

  test('of another user changes nothing', async () => {
    const created = world()
    const [server, client] = (await begin(created, after(created, 1000, KEY))) as [OpenChannel, OpenChannel]
    const connecting = created.connect(client)
    server.channel.revoke(({ user }) => user?.id === 'other')
    await connecting
    expect(server.opened).toHaveLength(1)
  })
})

test('a resumption that is broken off ends its look-up', async () => {
  const created = world()
  const running: AbortSignal[] = []
  const psk: PskLookup = (_, signal) => {
    if (running.push(signal) === 1) return KEY
    return new Promise(() => undefined)
  }
  const server = await created.open({ psk }, { accept: true })
  // One value keeps the session for the channels that it makes.
  const secured = dtls({ psk: { sensor: KEY } })
  for (let count = 0; count < 4; count++) {
    const environment = { clock: created.clock, limits: DEFAULT_LIMITS, logger: console, accept: false }
    const channel = secured.over(await created.network.bind({ host: '0.0.0.0', port: 0 }), environment)
    channel.open({ opened: () => undefined, message: () => undefined, closed: () => undefined, error: () => undefined })
    channel.connect({ ...SERVER, host: 'localhost' }, new AbortController().signal).catch(() => undefined)
    await created.settle(100)
  }
  expect(running.slice(1).map(({ aborted }) => aborted)).toEqual([false, false, false])
  await server.channel.close()
  expect(running.slice(1).map(({ aborted }) => aborted)).toEqual([true, true, true])
})
