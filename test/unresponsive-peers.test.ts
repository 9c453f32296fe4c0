// Peers that waste time, stop in the middle or vanish: nothing of them is left, and the house serves on.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { App, Limits } from '@iopa/appbuilder'
import type { Routes } from '@iopa/router'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  bag,
  CSM,
  coapCode,
  coapDatagram,
  coapFrame,
  DatagramPeer,
  descriptors,
  frameCodes,
  type House,
  httpGet,
  httpPut,
  httpStatus,
  mqttConnect,
  mqttPacket,
  mqttPackets,
  mqttPeer,
  mqttPublish,
  mqttSubscribe,
  OBSERVE,
  openHouse,
  Peer,
  type Ports,
  URI_PATH,
  until
} from './hostile-support.ts'

const limits: Partial<Limits> = { headerTimeout: 300, idleTimeout: 600, requestTimeout: 1000, connections: 20_000 }

/** What the added routes are doing. */
const work = { streams: 0, streamed: 0, waiting: 0, reasons: [] as string[] }

const further = (app: App): void => {
  const routes = app as App & Routes
  routes.get('/stream', async function* () {
    work.streams++
    try {
      for (;;) {
        yield 'x'.repeat(1000)
        work.streamed += 1000
        await new Promise(resolve => setImmediate(resolve))
      }
    } finally {
      work.streams--
    }
  } as never)
  routes.get('/wait', context => {
    work.waiting++
    return new Promise(resolve => {
      context.defer(reason => {
        work.waiting--
        work.reasons.push(reason)
        resolve(undefined)
      })
    })
  })
}

let house: House
beforeEach(async () => {
  Object.assign(work, { streams: 0, streamed: 0, waiting: 0, reasons: [] })
  house = await openHouse(limits, further)
})
afterEach(async () => {
  await until(
    'no context is left',
    () => house.app.live === 0,
    () => house.app.live
  )
  expect(await httpStatus(house.ports.http, httpGet('/lights/hall', 'connection: close\r\n'))).toBe(200)
  await house.close()
  expect([work.streams, work.waiting]).toEqual([0, 0])
})

const streamPorts = ({ http, mqtt, tcp, coapTcp }: Ports): number[] => [http, mqtt, tcp, coapTcp]

describe('a slow peer', () => {
  test('gets 408 for a header that arrives byte by byte', async () => {
    const peer = await Peer.open(house.ports.http)
    const begun = Date.now()
    void peer.drip(`GET /lights HTTP/1.1\r\nhost: localhost\r\nx-slow: ${'x'.repeat(1000)}`, 10)
    expect((await peer.answer()).toString()).toMatch(/^HTTP\/1\.1 408 /)
    expect(Date.now() - begun).toBeLessThan(3000)
  })

  test('gets 408 for the header of its second request too', async () => {
    const peer = await Peer.open(house.ports.http)
    await peer.send(httpGet('/lights')).answer(received => received.includes('hall'))
    void peer.drip(`GET /lights HTTP/1.1\r\nhost: localhost\r\nx-slow: ${'x'.repeat(1000)}`, 10)
    expect((await peer.answer()).toString('latin1')).toMatch(/HTTP\/1\.1 408 /)
  })

  test('is dropped when it stops in the middle of a body', async () => {
    const peer = await Peer.open(house.ports.http)
    const put = httpPut('/lights/hall', 'x'.repeat(1000))
    await peer.send(put.slice(0, -500)).answer()
    expect(peer.received.length).toBe(0)
  })

  test('gets 504 at the request deadline for a body that arrives byte by byte', async () => {
    const peer = await Peer.open(house.ports.http)
    const put = httpPut('/lights/hall', 'x'.repeat(1000))
    void peer.send(put.slice(0, -1000)).drip('x'.repeat(1000), 10)
    expect((await peer.answer()).toString()).toMatch(/^HTTP\/1\.1 504 /)
    expect(house.errors.splice(0).map(String)).toEqual([expect.stringContaining('504 timeout')])
  })

  test('gets 408 for a line that arrives byte by byte', async () => {
    const peer = await Peer.open(house.ports.tcp)
    void peer.drip(bag({ 'iopa.Path': `/${'x'.repeat(1000)}` }), 10)
    expect((await peer.answer()).toString()).toMatch(/"iopa.StatusCode":408/)
  })

  test('is dropped by MQTT and CoAP when it does not introduce itself', async () => {
    const [mqtt, coap] = await Promise.all([Peer.open(house.ports.mqtt), Peer.open(house.ports.coapTcp)])
    void mqtt.drip(mqttConnect('x'.repeat(1000)), 10)
    void coap.drip(coapFrame(CSM, [[2, 'x'.repeat(1000)]]), 10)
    await Promise.all([mqtt.answer(), coap.answer()])
    expect(mqttPackets(mqtt.received)).toEqual([])
    expect(frameCodes(coap.received)).not.toContain('2.05')
  })

  test('is dropped when it does not read, with bounded output', async () => {
    const [http, tcp] = await Promise.all([Peer.open(house.ports.http), Peer.open(house.ports.tcp)])
    for (const { socket } of [http, tcp]) socket.pause()
    const before = process.memoryUsage().rss
    http.send(httpGet('/stream'))
    tcp.send(`${bag({ 'iopa.Path': '/lights' })}\n`.repeat(20_000))
    await until('the stream runs', () => work.streams === 1)
    await until('both are dropped', () => house.app.live === 0 && work.streams === 0)
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
    for (const { socket } of [http, tcp]) socket.destroy()
  })
})

describe('a silent peer', () => {
  test('is closed on every port: after opening, half-open, and in the middle of a message', async () => {
    const { http, mqtt, tcp, coapTcp } = house.ports
    const begins: readonly (readonly [number, string | Uint8Array])[] = [
      [http, ''],
      [mqtt, ''],
      [tcp, ''],
      [coapTcp, ''],
      [http, 'GET / HT'],
      [http, `${httpGet('/lights')}GET`],
      [mqtt, mqttConnect('x').subarray(0, 5)],
      [tcp, '{"iopa.'],
      [coapTcp, coapFrame(CSM, [[2, 'xx']]).subarray(0, 3)]
    ]
    const peers = await Promise.all(
      begins.flatMap(([port, bytes]) =>
        [false, true].map(async halfOpen => {
          const peer = (await Peer.open(port)).send(bytes)
          if (halfOpen) peer.socket.end()
          return peer
        })
      )
    )
    await Promise.all(peers.map(peer => peer.answer()))
    await until('the house has let them go', () => house.app.live === 0)
  })
})

describe('vanishing peers', () => {
  test('leave nothing behind in the middle of a request', async () => {
    const { http, mqtt, tcp, coapTcp } = house.ports
    const put = httpPut('/lights/hall', '{"on":true,"level":1}')
    const line = `${bag({ 'iopa.Path': '/lights/hall' })}\n`
    const begins: readonly (readonly [number, Uint8Array])[] = [
      ...[1, 10, 40, put.length - 5].map(length => [http, Buffer.from(put.slice(0, length))] as const),
      ...[1, 10, line.length - 2].map(length => [tcp, Buffer.from(line.slice(0, length))] as const),
      ...[1, 5, 20].map(
        length => [mqtt, Buffer.concat([mqttConnect('v'), mqttPublish('lights/hall', 'x'.repeat(50))]).subarray(0, 17 + length)] as const
      ),
      ...[1, 3, 12].map(
        length => [coapTcp, Buffer.concat([coapFrame(CSM), coapFrame(3, [[URI_PATH, 'lights']], 'x'.repeat(50))]).subarray(0, 2 + length)] as const
      )
    ]
    for (let round = 0; round < 5; round++) {
      const peers = await Promise.all(begins.map(async ([port, bytes]) => (await Peer.open(port)).send(bytes)))
      await until('the house has seen them', () => house.app.live > 0)
      for (const peer of peers) peer.vanish()
    }
  })

  test('end their running request on every protocol that detects it', async () => {
    const { http, tcp, coapTcp } = house.ports
    const asks: readonly (readonly [number, string | Uint8Array])[] = [
      [http, httpGet('/wait')],
      [tcp, `${bag({ 'iopa.Path': '/wait' })}\n`],
      [coapTcp, Buffer.concat([coapFrame(CSM), coapFrame(1, [[URI_PATH, 'wait']])])]
    ]
    const peers = await Promise.all(asks.map(async ([port, bytes]) => (await Peer.open(port)).send(bytes)))
    await until('all of them wait', () => work.waiting === asks.length)
    for (const peer of peers) peer.vanish()
    await until('none of them waits', () => work.waiting === 0)
    expect(work.reasons).toEqual(['disconnect', 'disconnect', 'disconnect'])
  })

  test('leave nothing behind after a running request by datagram', async () => {
    const [coap, udp] = await Promise.all([DatagramPeer.open(house.ports.coap), DatagramPeer.open(house.ports.udp)])
    void coap.ask(coapDatagram(1, [[URI_PATH, 'wait']]), 1)
    void udp.ask(Buffer.from(bag({ 'iopa.Path': '/wait' })), 1)
    await until('both of them wait', () => work.waiting === 2)
    coap.close()
    udp.close()
    await until('none of them waits', () => work.waiting === 0)
    expect(work.reasons).toEqual(['timeout', 'timeout'])
    expect(house.errors.splice(0).map(String)).toEqual([expect.stringContaining('504 timeout'), expect.stringContaining('504 timeout')])
  })

  test('stop the source of a streamed answer', async () => {
    const peers = await Promise.all(Array.from({ length: 20 }, () => Peer.open(house.ports.http)))
    for (const peer of peers) peer.send(httpGet('/stream'))
    await Promise.all(peers.map(peer => peer.answer(received => received.length > 10_000)))
    expect(work.streams).toBe(20)
    for (const peer of peers) peer.vanish()
    await until('no source runs', () => work.streams === 0)
  })

  test('leave nothing behind as 240 observers on all protocols', async () => {
    const { http, mqtt, tcp, coapTcp, coap } = house.ports
    const observe = [
      [OBSERVE, Uint8Array.of(0)],
      [URI_PATH, 'lights'],
      [URI_PATH, 'hall']
    ] as const
    const streams = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const sse = (await Peer.open(http)).send(httpGet('/lights/hall', 'accept: text/event-stream\r\n'))
        const line = (await Peer.open(tcp)).send(`${bag({ 'iopa.Path': '/lights/hall', 'iopa.Observe': true })}\n`)
        const topic = (await mqttPeer(mqtt, `observer-${index}`)).send(mqttSubscribe('lights/hall'))
        const frames = (await Peer.open(coapTcp)).send(coapFrame(CSM)).send(coapFrame(1, observe))
        for (const peer of [sse, line, topic, frames]) await peer.answer(received => received.includes('"level":0'))
        return [sse, line, topic, frames]
      })
    )
    const datagrams = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const peer = await DatagramPeer.open(coap)
        expect(coapCode(await peer.ask(coapDatagram(1, observe)))).toBe('2.05')
        return peer
      })
    )
    expect(house.app.live).toBeGreaterThanOrEqual(240)
    for (const peer of streams.flat()) peer.vanish()
    for (const peer of datagrams) peer.close()
    // An observer by datagram is found missing when it does not acknowledge a notification.
    expect(await httpStatus(house.ports.http, httpPut('/lights/hall', '{"on":true,"level":1}'))).toBe(200)
    await until(
      'no observer is left',
      () => house.app.live === 0,
      () => house.app.live
    )
  })

  test('leave nothing behind with a will that no route takes', async () => {
    const will = mqttPacket(
      0x10,
      Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 0b1110, 0, 60, 0, 0, 1, 0x77, 0, 0, 11]),
      Buffer.from('lights/hall'),
      Buffer.from([0, 1, 0x7b])
    )
    const peer = await Peer.open(house.ports.mqtt)
    await peer.send(will).answer(received => mqttPackets(received).length > 0)
    peer.vanish()
    await until('the peer is gone', () => house.app.live === 0)
  })
})

const limitOfDescriptors = (): number => {
  const told = process.platform === 'win32' ? 'unlimited' : execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim()
  return told === 'unlimited' ? 1_000_000 : Number(told)
}
const IDLE = Number(process.env['IDLE_CONNECTIONS'] ?? 2000)
const limit = limitOfDescriptors()
// The other ends are in a process of their own; a reserve is for everything else here.
const atOnce = Math.min(IDLE, Math.max(100, limit - descriptors() - 300))

describe('idle connections', () => {
  test(`leave no context and no descriptor: ${IDLE} of them, ${atOnce} at once under a limit of ${limit} descriptors`, async () => {
    await house.close()
    // Nothing is closed for being silent or idle while they are opened.
    house = await openHouse({ connections: 20_000, headerTimeout: 60_000 })
    const before = descriptors()
    for (let opened = 0; opened < IDLE; opened += atOnce) {
      const count = Math.min(atOnce, IDLE - opened)
      const program = new URL('./idle-peers.mjs', import.meta.url).pathname
      const child = spawn(process.execPath, [program, String(count), ...streamPorts(house.ports).map(String)], { stdio: ['pipe', 'pipe', 'inherit'] })
      const lines = createInterface({ input: child.stdout })
      const [said] = (await once(lines, 'line')) as [string]
      expect(said).toBe(`open ${count}`)
      await until('the house has taken them all', () => descriptors() >= before + count, descriptors)
      // It serves while they are there.
      expect(await httpStatus(house.ports.http, httpGet('/lights/hall', 'connection: close\r\n'))).toBe(200)
      child.stdin.write('go\n')
      await once(child, 'exit')
      await until(
        'the house has let them go',
        () => house.app.live === 0 && descriptors() <= before,
        () => [house.app.live, before, descriptors()]
      )
    }
  }, 120_000)
})
