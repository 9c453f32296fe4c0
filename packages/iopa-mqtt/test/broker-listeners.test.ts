import { execFile } from 'node:child_process'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { App } from '@iopa/appbuilder'
import mqttJs from 'mqtt'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type MqttOptions, type MqttTransport, mqtt } from '../src/mqtt.ts'
import { websocket } from '../src/websocket.ts'
import { certificate } from './fixtures/certificate.ts'

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
    await expect(served({ websocket: websocket({ port: 0, trustProxy: ['proxy.example'] }) })).rejects.toMatchObject({ code: 'bad-proxy' })
  })
})
