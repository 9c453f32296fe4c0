import type { SecuredPeer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { KEY, type OpenChannel, type World, world } from './channels.ts'

const SERVER = { address: '127.0.0.1', port: 5684 }
const ELSEWHERE = { address: '192.0.2.7', port: 40_000 }

interface Roaming extends World {
  readonly server: OpenChannel
  readonly client: OpenChannel
  readonly peer: SecuredPeer
  /** The session as the server sees it. */
  readonly session: SecuredPeer
  /** What the client sends arrives from elsewhere from now on. */
  rebind(): void
  /** A record of the client that has not arrived. */
  hold(text: string): Promise<Buffer>
  inject(bytes: Uint8Array, from?: { address: string; port: number }): Promise<void>
  /** Bytes that the server has sent to an address since an index of the trace. */
  bytesTo(port: number, since: number): number
}

const roaming = async (): Promise<Roaming> => {
  const created = world()
  const options = { psk: { sensor: KEY, other: KEY.toReversed() }, cid: true }
  const server = await created.open(options, { accept: true })
  const client = await created.open(options)
  const peer = await created.connect(client)
  await created.settle()
  const own = { address: '127.0.0.1', port: client.channel.localPort }
  const { network, settle } = created
  const inject = async (bytes: Uint8Array, from = own): Promise<void> => {
    network.inject(bytes, from, SERVER)
    await settle()
  }
  return {
    ...created,
    server,
    client,
    peer,
    session: server.opened[0]!,
    inject,
    rebind: () => {
      network.script = ({ from, bytes }) => {
        if (from.port !== own.port) return undefined
        network.inject(bytes, ELSEWHERE, SERVER)
        return 'drop'
      }
    },
    hold: async text => {
      network.script = () => 'drop'
      peer.send(Buffer.from(text))
      await settle()
      network.script = undefined
      return Buffer.from(network.trace.at(-1)!.bytes)
    },
    bytesTo: (port, since) =>
      network.trace.slice(since).reduce((sum, { from, to, bytes }) => sum + (from.port === 5684 && to.port === port ? bytes.length : 0), 0)
  }
}

describe('a session with connection ids', () => {
  test('has records of type 25 both ways, with an id of 8 bytes', async () => {
    const { peer, settle, network, client } = await roaming()
    peer.send(Buffer.from('hello'))
    await settle()
    const [request, answer] = network.trace.slice(-2).map(({ bytes }) => Buffer.from(bytes))
    expect([request![0], answer![0]]).toEqual([25, 25])
    expect(request!.length).toBe(13 + 8 + 5 + 1 + 16)
    expect(client.received).toHaveLength(1)
  })

  test('drops protected records without their id', async () => {
    const { hold, inject, server } = await roaming()
    const record = await hold('hello')
    await inject(Buffer.concat([Buffer.from([23]), record.subarray(1, 11), record.subarray(19)]))
    expect(server.received).toEqual([])
    await inject(record)
    expect(server.received).toHaveLength(1)
  })

  test('CID of another peer: the record opens neither session', async () => {
    const { hold, inject, server, open, connect, settle, network } = await roaming()
    const second = await open({ psk: { other: KEY.toReversed() }, cid: true })
    const other = await connect(second)
    other.send(Buffer.from('mine'))
    await settle()
    const cid = Buffer.from(network.trace.filter(({ from }) => from.port === second.channel.localPort).at(-1)!.bytes).subarray(11, 19)
    const record = await hold('hello')
    await inject(Buffer.concat([record.subarray(0, 11), cid, record.subarray(19)]))
    expect(server.received.map(({ text }) => text)).toEqual(['mine'])
  })

  test('names its latest address, and stays at the proven one until it is confirmed', async () => {
    const { session, rebind, peer, settle, server, client, network } = await roaming()
    rebind()
    peer.send(Buffer.from('moved'))
    await settle()
    expect(server.received).toMatchObject([{ text: 'moved', unproven: true }])
    expect(session.latest).toEqual(ELSEWHERE)
    expect(session.proven.port).toBe(client.channel.localPort)
    session.confirm()
    expect([session.latest, session.proven]).toEqual([undefined, ELSEWHERE])
    session.send(Buffer.from('there'))
    expect(network.trace.at(-1)!.to).toEqual(ELSEWHERE)
    peer.send(Buffer.from('again'))
    await settle()
    expect(server.received.at(-1)).toMatchObject({ text: 'again', unproven: false })
    expect(server.closed).toEqual([])
  })

  test('sends three times the bytes received to an address that is not proven, and no more', async () => {
    const { session, rebind, peer, settle, network, bytesTo } = await roaming()
    rebind()
    const since = network.trace.length
    peer.send(Buffer.alloc(100))
    await settle()
    for (let count = 0; count < 20; count++) session.send(Buffer.alloc(50), 'latest')
    const received = 13 + 8 + 101 + 16
    expect(bytesTo(ELSEWHERE.port, since)).toBeLessThanOrEqual(3 * received)
    expect(bytesTo(ELSEWHERE.port, since)).toBeGreaterThan(3 * received - 100)
  })

  test('takes no address from a record that is older than the newest, or that comes again', async () => {
    const { session, hold, inject, peer, settle, server } = await roaming()
    const old = await hold('old')
    peer.send(Buffer.from('new'))
    await settle()
    await inject(old, ELSEWHERE)
    expect(server.received.map(({ text, unproven }) => [text, unproven])).toEqual([
      ['new', false],
      ['old', true]
    ])
    await inject(old, ELSEWHERE)
    expect([server.received.length, session.latest]).toEqual([2, undefined])
  })

  test('identity confusion: outlives another user at its address', async () => {
    const { session, server, client, open, connect, settle, rebind, peer, network } = await roaming()
    const port = client.channel.localPort
    // The NAT has given the port to another device; its own datagrams arrive as before.
    const other = await open({ psk: { other: KEY.toReversed() }, cid: true }, { machine: '10.0.0.5', port: 50_000 })
    network.script = ({ from, to, bytes }) => {
      if (from.address === '10.0.0.5') network.inject(bytes, { address: '127.0.0.1', port }, SERVER)
      else if (from.port === 5684 && to.port === port) network.inject(bytes, SERVER, { address: '10.0.0.5', port: 50_000 })
      else return undefined
      return 'drop'
    }
    await connect(other)
    await settle()
    expect(server.opened.map(({ user }) => user?.id)).toEqual(['sensor', 'other'])
    expect(server.closed).toEqual([])
    rebind()
    peer.send(Buffer.from('still me'))
    await settle()
    expect(server.received.at(-1)).toMatchObject({ text: 'still me', peer: session })
  })
})

describe('connection ids', () => {
  test.each([
    [true, false],
    [false, true]
  ])('are left out where one side has none: server %s, client %s', async (forServer, forClient) => {
    const { open, connect, settle, network } = world()
    await open({ psk: { sensor: KEY }, cid: forServer }, { accept: true })
    const client = await open({ psk: { sensor: KEY }, cid: forClient })
    const peer = await connect(client)
    peer.send(Buffer.from('hello'))
    await settle()
    expect(client.received).toHaveLength(1)
    expect(network.trace.some(({ bytes }) => bytes[0] === 25)).toBe(false)
  })
})
