import { once } from 'node:events'
import { connect as dial } from 'node:net'
import { App, IopaError, type Limits } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { connectAsync, type IPublishPacket, type MqttClient } from 'mqtt'
import { generate } from 'mqtt-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { mqtt } from '../src/mqtt.ts'
import { closeLabs, lab } from './broker/lab.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  expect(await closeLabs()).toBe(0)
})

const routed = (limits: Partial<Limits>) => new App({ logger: false }).use(router()).use(mqtt({ port: 0, limits }))

/** An app on a real port. */
const served = async (build: (app: ReturnType<typeof routed>) => unknown, limits: Partial<Limits> = {}): Promise<number> => {
  const app = routed(limits)
  build(app)
  const [listener] = await app.listen()
  closing.push(async () => {
    await app.close({ timeout: 100 })
    expect(app.live).toBe(0)
  })
  return Number(listener?.url.port)
}

const client = async (port: number): Promise<MqttClient> => {
  const made = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 0 })
  closing.push(() => made.endAsync(true))
  return made
}

async function* failing(chunks: number, error: Error): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < chunks; sent++) yield Buffer.from('part ')
  throw error
}

const webStream = (): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: controller => controller.enqueue(Buffer.from('part ')),
    pull: async controller => controller.error(new Error('secret'))
  })

const SILENT = (): AsyncIterable<Uint8Array> => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) })

describe('a request whose streamed answer fails gets the problem as reply, and its code:', () => {
  const cases: [string, () => unknown, number, number][] = [
    ['at once', () => failing(0, new Error('secret')), 500, 0x80],
    ['after a chunk', () => failing(1, new Error('secret')), 500, 0x80],
    ['after many chunks', () => failing(100, new Error('secret')), 500, 0x80],
    ['as a web stream', webStream, 500, 0x80],
    ["with the stream's own problem", () => failing(1, new IopaError(409, 'busy', 'The sensor is busy.')), 409, 0x83],
    ['by silence', SILENT, 504, 0x80],
    ['by its length', () => failing(1_000_000, new Error('never')), 500, 0x80]
  ]

  test.each(
    cases.flatMap(([name, make, status, code]) => [1, 2].flatMap(qos => ['GET', 'POST'].map(method => ({ name, make, status, code, qos, method }))))
  )('$name, $method, QoS $qos', async ({ make, status, code, qos, method }) => {
    const answer = (): unknown => make()
    const port = await served(app => app.get('/stream', answer).post('/stream', answer), { requestTimeout: 300, body: 4096 })
    const asker = await client(port)
    await asker.subscribeAsync('replies', { qos: 1 })
    const reply = new Promise<[string, Buffer, IPublishPacket]>(resolve => asker.once('message', (...all) => resolve(all)))
    const acknowledged = asker
      .publishAsync('stream', method === 'GET' ? '' : 'x', {
        qos: qos as 1 | 2,
        properties: { responseTopic: 'replies', correlationData: Buffer.from('c'), userProperties: { method } }
      })
      .then(
        packet => (packet as { reasonCode?: number } | undefined)?.reasonCode ?? 0,
        (error: { code: number }) => error.code
      )
    const [, payload, packet] = await reply
    expect(await acknowledged).toBe(code)
    expect(packet.properties).toMatchObject({
      correlationData: Buffer.from('c'),
      contentType: 'application/problem+json',
      userProperties: { status: String(status) }
    })
    expect(JSON.parse(payload.toString())).toMatchObject({ status })
    expect(payload.toString()).not.toContain('secret')
  })

  test('a subscription to it is refused', async () => {
    const port = await served(app => app.get('/stream', () => failing(1, new Error('secret'))))
    const asker = await client(port)
    const granted = await asker.subscribeAsync('stream', { qos: 1 }).then(
      ([grant]) => grant?.qos as number,
      (error: { packet: { granted: number[] } }) => error.packet.granted[0]
    )
    expect(granted).toBe(0x80)
  })
})

describe('a packet that comes byte by byte', () => {
  const publish = generate({ cmd: 'publish', topic: 't', payload: Buffer.alloc(500), qos: 0, dup: false, retain: false })

  test.each([4, 5])('ends a real connection of MQTT %s', async version => {
    const port = await served(() => undefined, { requestTimeout: 300 })
    const socket = dial(port, '127.0.0.1')
    let closed = false
    const end = once(socket, 'close').then(() => (closed = true))
    socket.on('error', () => undefined).resume()
    socket.write(
      generate(
        { cmd: 'connect', protocolId: 'MQTT', protocolVersion: version as 4 | 5, clean: true, clientId: 'slow', keepalive: 0 },
        { protocolVersion: version }
      )
    )
    let sent = 0
    const dripping = setInterval(() => sent < publish.length - 1 && socket.write(publish.subarray(sent, ++sent)), 20)
    closing.push(
      () => clearInterval(dripping),
      () => socket.destroy()
    )
    await end
    expect(closed).toBe(true)
    expect(sent).toBeLessThan(publish.length - 1)
  })

  test('is given limits.requestTimeout, and a client of MQTT 5 is sent a reason', async () => {
    const net = await lab(undefined, { maxKeepAlive: 0 })
    const slow = await net.client()
    for (let sent = 0; sent < 29; sent++) {
      slow.sendBytes(publish.subarray(sent, sent + 1))
      await net.rest(1000)
    }
    expect(slow.closed).toBe(false)
    for (let sent = 29; sent < 33 && !slow.closed; sent++) {
      slow.sendBytes(publish.subarray(sent, sent + 1))
      await net.rest(1000)
    }
    expect(await slow.next('disconnect')).toMatchObject({ reasonCode: 0x8d })
    expect(slow.closed).toBe(true)
  })

  test('begins with each packet: a client that always has one on its way is not late', async () => {
    const net = await lab(undefined, { maxKeepAlive: 0 })
    const busy = await net.client()
    busy.sendBytes(publish.subarray(0, 10))
    for (let turns = 0; turns < 10; turns++) {
      await net.rest(10_000)
      busy.sendBytes(Buffer.concat([publish.subarray(10), publish.subarray(0, 10)]))
    }
    await net.rest(10_000)
    expect(busy.closed).toBe(false)
  })

  test('does not count while the broker does not read the client', async () => {
    let release: () => void = () => undefined
    const net = await lab(
      app => app.use((context, next) => (context.path === '/held' ? new Promise<void>(resolve => (release = resolve)).then(() => next()) : next())),
      { maxKeepAlive: 0, limits: { inFlightPerConnection: 1, requestTimeout: 1_000_000 } }
    )
    const client = await net.client({ version: 4 })
    client.publish('held', 'x')
    await net.rest()
    client.sendBytes(publish.subarray(0, 100))
    await net.rest(900_000)
    release()
    await net.rest(900_000)
    expect(client.closed).toBe(false)
    client.sendBytes(publish.subarray(100))
    await net.rest()
    expect(client.closed).toBe(false)
  })
})
