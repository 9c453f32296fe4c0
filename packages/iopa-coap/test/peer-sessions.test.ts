import { App, type Client, type Peer } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import type { DatagramChannel } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { decode, encode, encodeEmpty } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { Options } from '../src/codec/options.ts'
import { rawRequest } from './raw-peer.ts'
import { SERVER } from './virtual-home.ts'

const DEVICE = '10.0.0.9'

/** A hub that keeps the peer of the last registration, on a virtual network. */
const virtualHub = async (options: CoapOptions = {}) => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock })
  const app = new App({ logger: false, clock }).use(router())
  app.use(coap({ host: SERVER, allowUnauthenticated: true, clock, network: network.machine(SERVER), ...options }))
  const peers: Peer[] = []
  app.post('/register', ({ peer }) => {
    peers.push(peer as Peer)
  })
  await app.listen()
  const run = <T>(work: Promise<T>): Promise<T> => clock.runUntil(work)
  const wait = (ms: number): Promise<void> => run(new Promise<void>(resolve => clock.setTimeout(resolve, ms)))
  return {
    clock,
    network,
    app,
    peers,
    run,
    wait,
    /** A device that shows what it gets, and sends what a test gives it. */
    async raw(answers: (message: ReceivedMessage, channel: DatagramChannel) => void = () => undefined) {
      const channel = await network.machine(DEVICE).bind({ host: DEVICE, port: 40_000 })
      const inbox: ReceivedMessage[] = []
      channel.open({
        message: bytes => {
          const message = decode(bytes) as ReceivedMessage
          inbox.push(message)
          answers(message, channel)
        },
        error: () => undefined
      })
      return { inbox, channel, send: (bytes: Uint8Array) => channel.send(bytes, 5683, SERVER) }
    },
    close: () => run(app.close({ timeout: 1000 }))
  }
}

const isPing = ({ type, code }: ReceivedMessage): boolean => type === TYPE.CON && code === CODE.EMPTY
const register = (): Uint8Array => rawRequest(CODE.POST, { path: '/register' })
/** Answers pings, and GET with a text. */
const answering =
  (text: string) =>
  (message: ReceivedMessage, channel: DatagramChannel): void => {
    const { id, token, code } = message
    if (isPing(message)) channel.send(encodeEmpty(TYPE.RST, id), 5683, SERVER)
    if (code === CODE.GET)
      channel.send(encode({ type: TYPE.ACK, code: CODE.CONTENT, id, token, options: new Options(), payload: Buffer.from(text) }), 5683, SERVER)
  }

describe('an unverified peer', () => {
  test('gets a ping and nothing else, in all less than three times what it has sent, and no client without an answer', async () => {
    const hub = await virtualHub()
    const device = await hub.raw()
    device.send(register())
    await hub.wait(100)
    const before = device.inbox.length
    await expect(hub.run((hub.peers[0] as Peer).client({ timeout: 600_000 }))).rejects.toMatchObject({ status: 504, code: 'unverified-peer' })
    const later = device.inbox.slice(before)
    expect(later.every(isPing)).toBe(true)
    const bytes = device.inbox.reduce((sum, message) => sum + message.bytes.length, 0)
    expect(bytes).toBeLessThanOrEqual(3 * register().length)
    await hub.close()
  })

  test('gets requests once it has answered the ping', async () => {
    const hub = await virtualHub()
    const device = await hub.raw(answering('here'))
    device.send(register())
    await hub.wait(100)
    const client = await hub.run((hub.peers[0] as Peer).client())
    expect(await (await hub.run(client.get('/x'))).text()).toBe('here')
    expect(device.inbox.filter(isPing)).toHaveLength(1)
    await hub.close()
  })
})

describe('silence', () => {
  test('ends the client: the next holder of the address gets nothing of it', async () => {
    const hub = await virtualHub({ amplification: false })
    const first = await hub.raw(answering('first'))
    first.send(register())
    await hub.wait(100)
    const client = await hub.run((hub.peers[0] as Peer).client())
    expect(await (await hub.run(client.get('/x'))).text()).toBe('first')
    await first.channel.close()
    await hub.wait(300_000)
    const second = await hub.raw(answering('second'))
    await expect(hub.run(client.get('/x'))).rejects.toMatchObject({ code: 'peer-gone' })
    second.send(register())
    await hub.wait(300)
    expect(hub.peers[1]).not.toBe(hub.peers[0])
    await expect(hub.run(client.get('/x'))).rejects.toMatchObject({ code: 'peer-gone' })
    await expect(hub.run((hub.peers[0] as Peer).client())).rejects.toMatchObject({ code: 'peer-gone' })
    expect(second.inbox.every(({ code }) => code >= 64)).toBe(true)
    await hub.close()
  })

  test('of any length is kept where the network has fixed addresses', async () => {
    const hub = await virtualHub({ amplification: false })
    const device = await hub.raw(answering('here'))
    device.send(register())
    await hub.wait(100)
    const client = await hub.run((hub.peers[0] as Peer).client({ silence: Number.POSITIVE_INFINITY }))
    await hub.wait(500_000)
    await hub.wait(500_000)
    expect(await (await hub.run(client.get('/x'))).text()).toBe('here')
    await hub.close()
  })
})

test('a peer that is forgotten for another one takes its clients along', async () => {
  const hub = await virtualHub({ amplification: false, limits: { connections: 1 } })
  const device = await hub.raw()
  device.send(register())
  await hub.wait(100)
  const client = await hub.run((hub.peers[0] as Peer).client())
  const asked = expect(client.get('/x')).rejects.toMatchObject({ code: 'peer-gone' })
  await hub.wait(10_000)
  hub.network.inject(register(), { address: '10.0.0.10', port: 7 }, { address: SERVER, port: 5683 })
  await hub.wait(100)
  expect(hub.peers).toHaveLength(2)
  await asked
  await hub.close()
})

test('requests that wait for a peer do not refuse what the peer asks', async () => {
  const hub = await virtualHub({ amplification: false, limits: { inFlightPerConnection: 4 } })
  const device = await hub.raw()
  device.send(register())
  await hub.wait(100)
  const client = await hub.run((hub.peers[0] as Peer).client())
  const waiting = Promise.allSettled(Array.from({ length: 20 }, () => client.get('/x')))
  await hub.wait(100)
  device.send(register())
  await hub.wait(100)
  expect(device.inbox.at(-1)?.code).toBe(CODE.CHANGED)
  await hub.run(client.close())
  expect((await hub.run(waiting)).every(({ status }) => status === 'rejected')).toBe(true)
  await hub.close()
})

/** A NAT: it gives each inner socket a port of its own outside, and lets in only what comes from where that has sent to. */
const nat = async (network: ReturnType<typeof virtualNetwork>, outside: string, inside: string) => {
  const machine = network.machine(outside)
  const inner = await network.machine(inside).bind({ host: inside, port: 5683 })
  let ports = 0
  const outer = new Map<string, DatagramChannel>()
  const open = async (address: string, port: number): Promise<DatagramChannel> => {
    const channel = await machine.bind({ host: outside, port: 0 })
    ports++
    channel.open({
      message: (bytes, from) => {
        if (from === SERVER) inner.send(bytes, port, address)
      },
      error: () => undefined
    })
    return channel
  }
  inner.open({
    message: (bytes, address, port) => {
      const key = `${address} ${port}`
      const known = outer.get(key)
      if (known !== undefined) known.send(bytes, 5683, SERVER)
      else
        void open(address, port).then(channel => {
          outer.set(key, channel)
          channel.send(bytes, 5683, SERVER)
        })
    },
    error: () => undefined
  })
  return {
    get ports() {
      return ports
    },
    /** Forgets its mappings. */
    async rebind() {
      for (const channel of outer.values()) await channel.close()
      outer.clear()
    }
  }
}

describe.each([
  ['a clear network', {}],
  ['a lossy network', { loss: 0.2, duplication: 0.2, reordering: 0.2 }]
])('a device behind a NAT on %s', (_, conditions) => {
  test('registers, is read, written and observed from the listening port, and registers again after a rebinding', async () => {
    const hub = await virtualHub()
    Object.assign(hub.network.conditions, conditions)
    const between = await nat(hub.network, '203.0.113.7', '192.168.0.1')
    const device = new App({ logger: false, clock: hub.clock }).use(router())
    let level = 1
    device.get('/3/0/9', () => String(level))
    device.put('/3/0/9', async context => {
      level = Number(await context.text())
    })
    const network = hub.network.machine('192.168.0.20')
    const clients = new App({ logger: false, clock: hub.clock }).use(coap({ allowUnauthenticated: true, clock: hub.clock, network }))
    const up = await hub.run(clients.connect('coap://192.168.0.1', { serve: device }))
    const enrol = async (): Promise<Client> => {
      await hub.run(up.post('/register', undefined))
      return hub.run((hub.peers.at(-1) as Peer).client())
    }
    const client = await enrol()
    expect(await (await hub.run(client.get('/3/0/9'))).text()).toBe('1')
    const seen: string[] = []
    const observing = (async () => {
      for await (const answer of client.observe('/3/0/9')) seen.push(await answer.text())
    })()
    await hub.wait(10_000)
    expect((await hub.run(client.put('/3/0/9', '7', { type: 'text/plain' }))).ok).toBe(true)
    await hub.wait(60_000)
    expect(seen.at(-1)).toBe('7')
    await between.rebind()
    const again = await enrol()
    expect(between.ports).toBe(2)
    expect(await (await hub.run(again.get('/3/0/9'))).text()).toBe('7')
    const ended = expect(observing).rejects.toMatchObject({ code: 'peer-gone' })
    await hub.wait(300_000)
    await ended
    await expect(hub.run(client.get('/3/0/9'))).rejects.toMatchObject({ code: 'peer-gone' })
    const { trace } = hub.network
    expect(new Set(trace.filter(({ from }) => from.address === SERVER).map(({ from }) => from.port))).toEqual(new Set([5683]))
    await hub.run(Promise.all([clients.close({ timeout: 100 }), device.close({ timeout: 100 })]))
    await hub.close()
  })
})
