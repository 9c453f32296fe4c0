import { App, type Context } from '@iopa/appbuilder'
import { type VirtualNetwork, virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { type UdpOptions, udp } from '../src/index.ts'
import { atEnd, get } from './support.ts'

interface Lab {
  readonly app: App
  readonly network: VirtualNetwork
  /** Sends a datagram from an address, and gives back what the server sent there. */
  exchange(bytes: Uint8Array, from?: string, port?: number): Promise<Uint8Array[]>
}

const lab = async (handler: (context: Context) => unknown, options: UdpOptions = {}): Promise<Lab> => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock })
  const app = new App({ logger: false, clock })
    .use(udp({ host: '0.0.0.0', port: 7001, allowUnauthenticated: true, network: network.machine('10.0.0.1'), ...options }))
    .use(handler)
  atEnd(() => app.close())
  await app.listen()
  return {
    app,
    network,
    exchange: async (bytes, from = '10.0.0.9', port = 4000) => {
      const before = network.trace.length
      network.inject(bytes, { address: from, port }, { address: '10.0.0.1', port: 7001 })
      await clock.advance(50)
      return network.trace.slice(before + 1).map(record => record.bytes)
    }
  }
}

const bag = (...parts: Parameters<typeof get>): Uint8Array => new TextEncoder().encode(JSON.stringify(get(...parts)))
const parsed = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes))

describe('a server off loopback', () => {
  test('sends an answer of up to three times the request, or 256 bytes', async () => {
    const { exchange } = await lab(context => 'x'.repeat(Number(context['iopa.QueryString'])))
    const [short] = await exchange(bag('/', 1, { 'iopa.QueryString': '100' }))
    expect(parsed(short!)).toMatchObject({ 'iopa.StatusCode': 200 })
    const request = bag('/', 1, { 'iopa.QueryString': '1000', 'iopa.Headers': { padding: 'p'.repeat(300) } })
    const [long] = await exchange(request)
    expect(parsed(long!)).toMatchObject({ 'iopa.StatusCode': 200 })
    expect(long!.length).toBeLessThanOrEqual(3 * request.length)
  })

  test('replaces a longer answer with a short 413', async () => {
    const { exchange, app } = await lab(() => 'x'.repeat(300))
    const [answer] = await exchange(bag('/', 5))
    expect(parsed(answer!)).toEqual({ 'iopa.StatusCode': 413, 'iopa.Seq': 5 })
    expect(app.live).toBe(0)
  })

  test('never sends more than the limit, whatever the request holds', async () => {
    const { exchange } = await lab(() => {
      throw new Error('x'.repeat(1000))
    })
    const seq = '\u0001'.repeat(64)
    for (const request of [
      new Uint8Array(),
      new TextEncoder().encode('x'),
      new TextEncoder().encode('{'),
      new TextEncoder().encode(`{"${'k'.repeat(300)}":1}`),
      bag('/', seq),
      bag(`/${'\\u0001'.repeat(20)}`, seq),
      bag('/..', 1),
      bag('/', 1, { 'iopa.Observe': true })
    ]) {
      for (const answer of await exchange(request)) expect(answer.length).toBeLessThanOrEqual(Math.max(256, 3 * request.length))
    }
  })

  test('keeps the status of a refusal that is too long', async () => {
    const { exchange } = await lab(context => {
      context.response.headers.set('padding', 'p'.repeat(300))
      context.response.status = 404
    })
    expect(parsed((await exchange(bag('/', 1)))[0]!)).toEqual({ 'iopa.StatusCode': 404, 'iopa.Seq': 1 })
  })

  test('sends nothing when a plain answer is too long', async () => {
    const { exchange } = await lab(() => 'x'.repeat(257), { framing: 'raw' })
    expect(await exchange(new Uint8Array(3))).toEqual([])
    expect(await exchange(new Uint8Array(86))).toHaveLength(1)
  })
})

describe('a peer that cannot be answered', () => {
  test('gets nothing at port 0, and nothing throws', async () => {
    let called = 0
    const { exchange, app } = await lab(() => ++called)
    expect(await exchange(bag('/', 1), '10.0.0.9', 0)).toEqual([])
    expect(called).toBe(0)
    expect(await exchange(bag('/', 1))).toHaveLength(1)
    expect(app.live).toBe(0)
  })

  test('leaves nothing behind when it is unreachable', async () => {
    const { exchange, app, network } = await lab(() => 'x')
    for (let i = 0; i < 20; i++) await exchange(bag('/', i), `10.0.1.${i}`)
    expect(network.trace.filter(({ fate }) => fate === 'unreachable')).toHaveLength(20)
    expect(app.live).toBe(0)
  })
})

test('is identified by address and port', async () => {
  const { exchange } = await lab(context => `${context.remoteAddress} ${context.remotePort}`)
  for (const [address, port] of [
    ['10.0.2.1', 4000],
    ['10.0.2.2', 4000],
    ['10.0.2.2', 5024],
    ['10.0.2.1', 5024],
    ['10.0.2.1', 4000]
  ] as const) {
    expect(parsed((await exchange(bag('/'), address, port))[0]!)).toMatchObject({ 'iopa.Body': `${address} ${port}` })
  }
})
