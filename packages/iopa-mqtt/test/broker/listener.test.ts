import { execFile } from 'node:child_process'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { App } from '@iopa/appbuilder'
import mqttJs from 'mqtt'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type MqttOptions, type MqttTransport, mqtt } from '../../src/mqtt.ts'
import { websocket } from '../../src/websocket.ts'
import { certificate } from '../fixtures/certificate.ts'
import { closeLabs, lab } from './lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

let tls: { key: string; cert: string }

let ca: string

beforeAll(async () => {
  tls = certificate()
  ca = join(await mkdtemp(join(tmpdir(), 'iopa-listeners-')), 'ca.pem')
  await writeFile(ca, tls.cert)
})

const open: (() => unknown)[] = []

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

const served = async (options: MqttOptions, build: (app: App) => unknown = () => undefined): Promise<MqttTransport> => {
  const app = new App({ logger: false })
  build(app)
  const transport = mqtt({ port: 0, statistics: false, ...options })
  await app.use(transport).listen()
  open.push(() => app.close({ timeout: 100 }))
  return transport
}

const client = async (url: URL | undefined, options: mqttJs.IClientOptions = {}): Promise<mqttJs.MqttClient> => {
  const made = await mqttJs.connectAsync(String(url), { protocolVersion: 5, reconnectPeriod: 0, ca: tls.cert, ...options } as mqttJs.IClientOptions)
  made.on('error', () => undefined)
  open.push(() => made.endAsync(true))
  return made
}

const portOf = (url: URL | undefined): string => String(url?.port)

describe('limits', () => {
  test('of connections refuse one more, in all and from one address off loopback', async () => {
    const net = await lab(undefined, { limits: { connections: 3, connectionsPerAddress: 2 } })
    await net.client()
    const far = [await net.dial(5, '10.0.0.9'), await net.dial(5, '10.0.0.9')]
    const refused = await net.dial(5)
    await net.clock.runUntil(() => refused.closed, 100)
    await far[0]?.vanish()
    const { connack } = await net.connect({ from: '10.0.0.9' })
    expect(connack.reasonCode).toBe(0)
  })

  test('of a topic refuse what is longer or deeper', async () => {
    const net = await lab(undefined, { maxTopicLength: 20, limits: { pathSegments: 3 } })
    const client = await net.client()
    expect(await client.put('a/b/c', 'x')).toMatchObject({ reasonCode: 0x10 })
    expect(await client.put('a/b/c/d', 'x')).toMatchObject({ reasonCode: 0x90 })
    expect(await client.put('x'.repeat(21), 'x')).toMatchObject({ reasonCode: 0x90 })
    client.publish('a/b/c/d', 'x')
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x90 })
  })

  test('of retained messages refuse one more, in number and bytes, and keep those that are there', async () => {
    const net = await lab(undefined, { maxRetained: 3, maxRetainedBytes: 1000 })
    const client = await net.client()
    for (const topic of ['a', 'b', 'c']) expect(await client.put(topic, 'x', { retain: true })).toMatchObject({ reasonCode: 0x10 })
    expect(await client.put('d', 'x', { retain: true })).toMatchObject({ reasonCode: 0x97, properties: { userProperties: { status: '429' } } })
    expect(await client.put('a', 'x'.repeat(1000), { retain: true })).toMatchObject({ reasonCode: 0x97 })
    expect(await client.put('a', 'y', { retain: true })).toMatchObject({ reasonCode: 0x10 })
    await client.subscribe('#')
    expect((await client.messages()).sort()).toEqual(['a y', 'b x', 'c x'])
  })

  test('of a queue end the session of its client, who sees the gap', async () => {
    const net = await lab(undefined, { limits: { queueMessages: 5 } })
    const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }
    const first = await net.client(form)
    await first.subscribe('a', { qos: 1 })
    await first.vanish()
    const publisher = await net.client()
    for (let index = 0; index < 10; index++) await publisher.put('a', String(index))
    const { client, connack } = await net.connect(form)
    expect(connack.sessionPresent).toBe(false)
    expect(await client.messages()).toEqual([])
  })

  test('of all queues together hold for all sessions', async () => {
    const net = await lab(undefined, { maxQueuedBytes: 5000 })
    for (const clientId of ['a', 'b', 'c']) {
      const client = await net.client({ clientId, clean: false, properties: { sessionExpiryInterval: 100 } })
      await client.subscribe('t', { qos: 1 })
      await client.vanish()
    }
    const publisher = await net.client()
    const codes: unknown[] = []
    for (let index = 0; index < 4; index++) codes.push((await publisher.put('t', 'x'.repeat(500)))['reasonCode'])
    // A message that not all of them have room for is refused, and given to none.
    expect(codes).toEqual([0, 0, 0x97, 0x97])
    for (const clientId of ['a', 'b', 'c']) expect((await (await net.client({ clientId, clean: false })).messages()).length).toBe(2)
  })

  test('of user properties end the connection', async () => {
    const net = await lab(undefined, { limits: { headerCount: 3 } })
    const client = await net.client()
    client.publish('a', 'x', { properties: { userProperties: { a: ['1', '2', '3', '4'] } } })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x97 })
  })
})

describe('listening', () => {
  test('off loopback needs authentication, or open', async () => {
    await expect(new App().use(mqtt({ port: 0, host: '0.0.0.0' })).listen()).rejects.toThrow(/allowUnauthenticated: true/)
    const open = new App().use(mqtt({ port: 0, host: '0.0.0.0', allowUnauthenticated: true }))
    await open.listen()
    await open.close()
  })

  test('on a port that is taken rejects', async () => {
    const first = new App().use(mqtt({ port: 0 }))
    const [listener] = await first.listen()
    await expect(new App().use(mqtt({ port: Number(listener?.url.port) })).listen()).rejects.toMatchObject({ code: 'bind-failed' })
    await first.close()
  })

  test('ends with a goodbye, after what is in work', async () => {
    let done = false
    const net = await lab(app =>
      app.use(async (context, next) => {
        if (context.path !== '/slow') return next()
        await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 50))
        done = true
        return undefined
      })
    )
    const idle = await net.client()
    const busy = await net.client()
    busy.publish('slow', 'x', { qos: 1, messageId: 1 })
    await net.rest()
    const closing = net.app.close({ timeout: 1000 })
    await net.rest()
    expect(idle.packets).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x8b }])
    expect(done).toBe(false)
    await net.clock.runUntil(closing)
    expect(busy.packets).toMatchObject([
      { cmd: 'puback', messageId: 1 },
      { cmd: 'disconnect', reasonCode: 0x8b }
    ])
  })
})

describe('one broker with several listeners', () => {
  test('shares subscriptions, retained messages and take-over', async () => {
    const { urls, websocketUrl } = await served({ listeners: [{ port: 0, tls }], websocket: websocket({ port: 0 }) })
    expect(urls.map(({ protocol }) => protocol)).toEqual(['mqtt:', 'mqtts:', 'ws:'])
    const [plain, secure, web] = urls
    expect(web).toEqual(websocketUrl)
    const heard: string[] = []
    const over = await client(secure)
    over.on('message', (topic, payload) => heard.push(`${topic} ${payload}`))
    await over.subscribeAsync('a/#', { qos: 1 })
    await promisify(execFile)('mosquitto_pub', ['-p', portOf(plain), '-t', 'a/1', '-m', 'one', '-q', '1', '-r'])
    const browser = await client(web)
    await browser.publishAsync('a/2', 'two', { qos: 1 })
    await expect.poll(() => heard).toEqual(['a/1 one', 'a/2 two'])
    const { stdout } = await promisify(execFile)('mosquitto_sub', [
      '-h',
      'localhost',
      '-p',
      portOf(secure),
      '--cafile',
      ca,
      '-t',
      'a/#',
      '-C',
      '1',
      '-W',
      '5'
    ])
    expect(stdout).toBe('one\n')
    // The same client identifier on another port takes the session over.
    const first = await client(plain, { clientId: 'same', clean: false, properties: { sessionExpiryInterval: 100 } })
    await first.subscribeAsync('b', { qos: 1 })
    let reason = -1
    first.on('disconnect', ({ reasonCode }) => (reason = reasonCode ?? 0))
    const second = mqttJs.connect(String(web), {
      protocolVersion: 5,
      reconnectPeriod: 0,
      clientId: 'same',
      clean: false,
      properties: { sessionExpiryInterval: 100 }
    })
    open.push(() => second.endAsync(true))
    const present = await new Promise(resolve => second.once('connect', ({ sessionPresent }) => resolve(sessionPresent)))
    expect(present).toBe(true)
    await expect.poll(() => reason).toBe(0x8e)
  })

  test('refuses a second broker in an app with a sentence that names listeners', async () => {
    const app = new App({ logger: false }).use(mqtt({ port: 0 })).use(mqtt({ port: 0 }))
    await expect(app.listen()).rejects.toMatchObject({ code: 'second-broker', detail: expect.stringContaining('listeners') })
    await app.close()
  })

  test('refuses an unprotected address, and an option that it does not know, in each listener', async () => {
    const app = new App({ logger: false }).use(() => 'hello').use(mqtt({ port: 0, listeners: [{ port: 0, host: '0.0.0.0' }] }))
    await expect(app.listen()).rejects.toMatchObject({ code: 'unprotected-listener' })
    await app.close()
    expect(() => mqtt({ listeners: [{ prot: 1 } as never] })).toThrow(/prot/)
  })

  test('closes what it could bind when it cannot bind all', async () => {
    const { urls } = await served({})
    const app = new App({ logger: false }).use(mqtt({ port: 0, listeners: [{ port: Number(portOf(urls[0])) }] }))
    await expect(app.listen()).rejects.toMatchObject({ status: 500 })
    expect(app.live).toBe(0)
    await app.close()
  })
})

describe('a session', () => {
  test('has at most 10,000 subscriptions, unless the options say otherwise', async () => {
    const count = async (transport: MqttTransport): Promise<number> => {
      const one = await client(transport.urls[0])
      let granted = 0
      for (let at = 0; at < 10_500; at += 500) {
        const topics = Array.from({ length: 500 }, (_, index) => `t/${at + index}/#`)
        const grants = await one
          .subscribeAsync(topics)
          .catch((error: { packet?: { granted: number[] } }) => (error.packet?.granted ?? []).map(qos => ({ qos })))
        granted += grants.filter(({ qos }) => qos < 0x80).length
        if (granted < at + 500) break
      }
      return granted
    }
    expect(await count(await served({}))).toBe(10_000)
    expect(await count(await served({ maxSubscriptionsPerSession: 20 }))).toBe(20)
    expect(await count(await served({ limits: { observersPerConnection: 30 } }))).toBe(30)
  })
})

describe('a WebSocket listener behind a proxy', () => {
  test.each([
    [undefined, '127.0.0.1'],
    [['loopback'], '203.0.113.9'],
    [['10.0.0.0/8'], '127.0.0.1']
  ])('with trustProxy %j takes the client for %s', async (trustProxy, address) => {
    const seen: string[] = []
    const { websocketUrl } = await served({ websocket: websocket({ port: 0, ...(trustProxy && { trustProxy }) }) }, app =>
      app.use((context, next) => {
        if (context.method === 'CONNECT') seen.push(context.remoteAddress)
        return next()
      })
    )
    await client(websocketUrl as URL, { wsOptions: { headers: { 'x-forwarded-for': '198.51.100.1, 203.0.113.9' } } })
    expect(seen).toEqual([address])
  })

  test('refuses a proxy that is no address', async () => {
    await expect(served({ websocket: websocket({ port: 0, trustProxy: ['proxy.example'] }) })).rejects.toMatchObject({ code: 'bad-option' })
  })
})
