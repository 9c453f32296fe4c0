// The wall clock may jump: by an administrator, by NTP, or on a board without a battery. No duration may depend on it.
// (For MQTT: packages/iopa-mqtt/test/broker-wall-clock.test.ts.)
import { App, type Context, type Transport } from '@iopa/appbuilder'
import { type CoapListener, coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { type VirtualClock, type VirtualNetwork, virtualClock, virtualNetwork } from '@iopa/testing'
import type { ByteChannel } from '@iopa/transport'
import { udp } from '@iopa/udp'
import { describe, expect, test } from 'vitest'

const HOUR = 3_600_000
const START = Date.UTC(2026, 0, 1)

/** A raw peer on a virtual network. */
interface Peer {
  readonly channel: ByteChannel
  /** What came, as text. */
  text(): string
  closed: boolean
}

interface Lab {
  readonly app: App
  readonly clock: VirtualClock
  readonly network: VirtualNetwork
  readonly url: URL
  peer(): Promise<Peer>
  close(): Promise<void>
}

type Make = (shared: { clock: VirtualClock; network: VirtualNetwork; port: number }) => Transport

const lab = async (make: Make, build: (app: App & { get: never }) => void = () => undefined): Promise<Lab> => {
  const clock = virtualClock({ start: START })
  const network = virtualNetwork({ clock })
  const app = new App({ clock, logger: false }).use(router()).use(make({ clock, network, port: 4000 }))
  build(app as never)
  const [listener] = await app.listen()
  const url = (listener as CoapListener).urls?.find(({ protocol }) => protocol === 'coap+tcp:') ?? (listener?.url as URL)
  const peer = async (): Promise<Peer> => {
    const channel = await clock.runUntil(network.connect({ host: '127.0.0.1', port: Number(url.port) }))
    const chunks: Uint8Array[] = []
    const open: Peer = { channel, text: () => Buffer.concat(chunks).toString(), closed: false }
    channel.open({
      data: chunk => void chunks.push(chunk.slice()),
      end: () => channel.destroy(),
      drain: () => undefined,
      close: () => {
        open.closed = true
      }
    })
    return open
  }
  return {
    app,
    clock,
    network,
    url,
    peer,
    close: async () => {
      network.disconnect()
      await clock.runUntil(app.close({ timeout: 1000 }))
    }
  }
}

describe.each([
  ['forwards', HOUR],
  ['back', -HOUR]
])('a wall clock jump of an hour %s', (_, jump) => {
  test('does not cut off or keep an incomplete HTTP header', async () => {
    const { clock, peer, close } = await lab(http, app => app.use(() => 'yes'))
    const [sends, silent] = [await peer(), await peer()]
    for (const { channel } of [sends, silent]) channel.write('GET /a HTTP/1.1\r\nHost: localhost\r\n')
    await clock.advance(1000)
    clock.shift(jump)
    await clock.advance(3000)
    sends.channel.write('\r\n')
    await clock.advance(100)
    expect(sends.text()).toContain('HTTP/1.1 200')
    await clock.advance(9000)
    expect(silent.closed).toBe(true)
    await close()
  })

  test('does not cut off a running HTTP upload, or keep a stopped one', async () => {
    const { clock, peer, close } = await lab(http, app => app.use(async (context: Context) => `${(await context.bytes()).length} bytes`))
    const [sends, silent] = [await peer(), await peer()]
    for (const { channel } of [sends, silent]) channel.write('PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc')
    await clock.advance(5000)
    clock.shift(jump)
    await clock.advance(5000)
    sends.channel.write('def')
    await clock.advance(100)
    expect(sends.text()).toContain('6 bytes')
    await clock.advance(80_000)
    expect(silent.closed).toBe(true)
    await close()
  })

  test.each([
    ['HTTP', http as Make, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['TCP', tcp as Make, '{"iopa.Method":"GET","iopa.Path":"/"}\n'],
    ['CoAP over TCP', ((shared: Parameters<Make>[0]) => coap({ ...shared, tcp: true })) as Make, Buffer.of(0x00, 0xe1, 0x00, 0x01)]
  ])('does not change when an idle connection of %s ends', async (name, make, request) => {
    const { clock, peer, close } = await lab(make, app => app.use(() => 'yes'))
    const idle = await peer()
    idle.channel.write(request)
    await clock.advance(1000)
    if (!name.startsWith('CoAP')) expect(idle.text()).toContain('yes')
    clock.shift(jump)
    await clock.advance(50_000)
    expect(idle.closed).toBe(false)
    await clock.advance(50_000)
    expect(idle.closed).toBe(true)
    await close()
  })

  test('does not change the timeout of a request without an answer', async () => {
    const { clock, peer, close } = await lab(http, app => app.use(() => new Promise(() => undefined)))
    const waits = await peer()
    waits.channel.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await clock.advance(10_000)
    clock.shift(jump)
    await clock.advance(15_000)
    expect(waits.text()).toBe('')
    await clock.advance(10_000)
    expect(waits.text()).toContain('HTTP/1.1 504')
    await close()
  })

  test('does not disturb CoAP exchanges: lost messages are sent again, and no request is handled twice', async () => {
    const handled: string[] = []
    const { clock, app, network, url, close } = await lab(coap, build =>
      build.use(async (context: Context) => {
        handled.push(`${context.method} ${(await context.bytes()).length}`)
        await new Promise<void>(resolve => void clock.setTimeout(resolve, 3000))
        return 'done'
      })
    )
    const client = await clock.runUntil(app.connect(url))
    let dropped = 0
    network.script = ({ to }) => (to.port === 4000 && dropped++ < 1 ? 'drop' : undefined)
    const answer = client.put('/a', new Uint8Array(5000))
    await clock.advance(1000)
    clock.shift(jump)
    const { status } = await clock.runUntil(answer, 60_000)
    expect(status).toBe(200)
    const datagram = Buffer.of(0x40, 0x02, 0x12, 0x34, 0xff, 0x31)
    const send = (): void => network.inject(datagram, { address: '127.0.0.1', port: 777 }, { address: '127.0.0.1', port: 4000 })
    send()
    await clock.advance(20_000)
    clock.shift(jump)
    send()
    await clock.advance(20_000)
    expect(handled).toEqual(['PUT 5000', 'POST 1'])
    await clock.runUntil(client.close())
    await close()
  })

  test.each([
    ['udp', udp as Make],
    ['tcp', tcp as Make],
    ['coap', coap as Make],
    ['http', http as Make]
  ])('does not change the timeout of a pending client request (%s)', async (_name, make) => {
    const { clock, app, url, close } = await lab(make, build =>
      build.use((context: Context) =>
        context.path === '/slow' ? new Promise(resolve => void clock.setTimeout(() => resolve('late'), 7000)) : new Promise(() => undefined)
      )
    )
    const client = await clock.runUntil(app.connect(url, { timeout: 10_000 }))
    const began = clock.elapsed()
    const slow = client.get('/slow').then(answer => answer.text())
    const never = client.get('/never').then(
      () => 'answered',
      (error: { code: string }) => `${error.code} ${Math.round((clock.elapsed() - began) / 1000)}`
    )
    await clock.advance(5000)
    clock.shift(jump)
    expect(await clock.runUntil(slow)).toBe('late')
    expect(await clock.runUntil(never)).toBe('timeout 10')
    await clock.runUntil(client.close())
    await close()
  })
})
