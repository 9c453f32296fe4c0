// Pings of a client while it observes: the path through a NAT stays, and a dead one is noticed.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { FrameReader, isMessage } from '../src/codec/stream-codec.ts'
import { pong, Signalling } from '../src/streams/signalling.ts'
import { CLIENT, virtualHome } from './virtual-home.ts'

/** Datagrams of four bytes that the client has sent: confirmable and empty. */
const pings = (home: Awaited<ReturnType<typeof virtualHome>>): number =>
  home.network.trace.filter(({ from, bytes }) => from.address === CLIENT && bytes.length === 4 && bytes[0] === 0x40).length

describe('keepAlive', () => {
  test('pings while something is observed, and not before and after', async () => {
    const home = await virtualHome({ client: { keepAlive: 20_000 } })
    const client = await home.connect()
    await home.clock.runUntil(client.get('/state'))
    await home.clock.advance(100_000)
    expect(pings(home)).toBe(0)
    const observing = client.observe('/state')[Symbol.asyncIterator]()
    await home.clock.runUntil(observing.next())
    await home.clock.advance(101_000)
    expect(pings(home)).toBe(5)
    await home.clock.runUntil(observing.return!())
    await home.clock.advance(100_000)
    expect(pings(home)).toBe(5)
    await home.close()
  })

  test('sends none unless it is given', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const observing = client.observe('/state')[Symbol.asyncIterator]()
    await home.clock.runUntil(observing.next())
    await home.clock.advance(300_000)
    expect(pings(home)).toBe(0)
    await home.close()
  })

  test('registers again when a ping is not answered, and gets the state that it has missed', async () => {
    const home = await virtualHome({ client: { keepAlive: 20_000, transmission: { ackTimeout: 500, maxRetransmit: 1 } } })
    const client = await home.connect()
    const observing = client.observe('/state')[Symbol.asyncIterator]()
    await home.clock.runUntil(observing.next())
    const next = observing.next()
    home.network.script = () => 'drop'
    home.setState('state 1')
    await home.clock.advance(30_000)
    home.network.script = undefined
    const { value } = await home.clock.runUntil(next)
    expect(await value?.text()).toBe('state 1')
    await home.clock.runUntil(observing.return!())
    await home.close()
  })

  test('over TCP pings too, and opens another connection when no Pong comes', async () => {
    const clock = virtualClock()
    const network = virtualNetwork({ clock })
    let connections = 0
    let answers = true
    let got = 0
    await network.machine('10.0.0.1').listen({ host: '10.0.0.1', port: 5683, tls: undefined, alpn: undefined }, channel => {
      connections++
      const reader = new FrameReader(1 << 20)
      channel.open({
        data: chunk => {
          for (const frame of reader.push(chunk)) {
            if (!isMessage(frame)) continue
            if (frame.code === CODE.PING) {
              got++
              if (answers) channel.write(pong(frame.token))
            } else if (frame.code === CODE.GET) {
              const reply = Buffer.from([0x28, CODE.CONTENT, ...frame.token, 0x60, 0xff, 0x78])
              reply[0] = 0x38
              channel.write(reply)
            }
          }
        },
        end: () => channel.end(),
        drain: () => undefined,
        close: () => undefined
      })
      channel.write(new Signalling({ maxMessageSize: 1 << 20, blockWise: true }).hello())
    })
    const app = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2'), keepAlive: 10_000 }))
    const client = await clock.runUntil(app.connect('coap+tcp://10.0.0.1'))
    const observing = client.observe('/x')[Symbol.asyncIterator]()
    expect(await (await clock.runUntil(observing.next())).value?.text()).toBe('x')
    await clock.advance(35_000)
    expect([got, connections]).toEqual([3, 1])
    answers = false
    await clock.advance(25_000)
    expect(connections).toBe(2)
    await clock.runUntil(app.close({ timeout: 0 }))
  })

  test('is refused where it is no time', () => {
    for (const keepAlive of [0, 999, Number.NaN, 'x' as never]) expect(() => coap({ keepAlive })).toThrow(/keepAlive/)
  })
})
