import { once } from 'node:events'
import { createServer } from 'node:http'
import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, expect, test } from 'vitest'
import { joinBroker } from '../src/bridge/bridge.ts'
import { bridge } from '../src/bridge.ts'
import type { BrokerListener } from '../src/broker/listener.ts'
import { type MqttOptions, mqtt } from '../src/mqtt.ts'
import { websocket } from '../src/websocket.ts'
import { certificate } from './fixtures/certificate.ts'
import { connectMqtt } from './fixtures/connect-mqtt.ts'
import { describeWith, until } from './fixtures/peers.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** An app behind the embedded broker that takes one user name and password. */
const serve = async (options: MqttOptions): Promise<BrokerListener> => {
  const expected = `Basic ${Buffer.from('ann:se:cret').toString('base64')}`
  const app = new App({ logger: false })
    .use((context, next) => {
      if (context.method !== 'CONNECT') return next()
      if (context.headers.get('authorization') !== expected) {
        context.response.status = 401
        return undefined
      }
      context.user = { id: 'ann' }
      return next()
    })
    .use(router())
    .use(mqtt({ port: 0, ...options }))
  app.get('/who', ({ user }) => user?.id ?? 'nobody')
  const [listener] = (await app.listen()) as [BrokerListener]
  closing.push(() => app.close({ timeout: 50 }))
  return listener
}

describeWith(['openssl'], 'a client with TLS', () => {
  const secret = certificate()

  test.each(['mqtts', 'wss'])('authenticates itself, and verifies the broker, over %s', async scheme => {
    const listener = await serve({ tls: secret, websocket: websocket({ port: 0 }) })
    const url = new URL(scheme === 'wss' ? (listener.websocketUrl as URL) : listener.url)
    const asked = { 'iopa.Method': 'GET', 'iopa.Path': '/who' }
    await expect(connectMqtt(url, { websocket: websocket(), username: 'ann', password: 'se:cret' })).rejects.toMatchObject({
      status: 502,
      code: 'connect-failed'
    })
    await expect(connectMqtt(url, { websocket: websocket(), username: 'ann', password: 'wrong', tls: { ca: secret.cert } })).rejects.toMatchObject({
      status: 401
    })
    const channel = await connectMqtt(url, { websocket: websocket(), username: 'ann', password: 'se:cret', tls: { ca: secret.cert } })
    closing.push(() => channel.close())
    expect(await (await channel.send(asked)).text()).toBe('ann')
    url.username = 'ann'
    url.password = 'se%3Acret'
    const unverified = await connectMqtt(url, { websocket: websocket(), tls: { verify: false } })
    closing.push(() => unverified.close())
    expect(await (await unverified.send(asked)).text()).toBe('ann')
  })

  test('lets a worker join a broker over TLS', async () => {
    const listener = await serve({ tls: secret })
    const seen: string[] = []
    const url = new URL(listener.url)
    url.username = 'ann'
    url.password = 'se:cret'
    const worker = new App({ logger: false }).use(router()).use({
      name: 'mqtt',
      schemes: ['mqtt'],
      listen: host => joinBroker(url, { tls: { ca: secret.cert }, statePrefix: false }, host),
      open: () => Promise.reject(new Error('not here'))
    })
    worker.put('/work/:id', async context => void seen.push(`${context.params.id} ${await context.text()}`))
    const [joined] = await worker.listen()
    closing.push(() => worker.close({ timeout: 50 }))
    expect(joined!.url.href).not.toContain('cret')
    const channel = await connectMqtt(url, { tls: { ca: secret.cert }, answer: 'acknowledgement' })
    closing.push(() => channel.close())
    expect((await channel.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/work/1', 'iopa.Body': 'go' })).status).toBe(204)
    await until(() => seen.length === 1)
    expect(seen).toEqual(['1 go'])
  })
})

test('reaches a broker over WebSocket, whose path is not part of request paths', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => server.close())
  const app = new App({ logger: false }).use(router()).use(mqtt({ port: 0, websocket: websocket({ server, path: '/iot' }) }))
  app.get('/lights/hall', () => 'on')
  await app.listen()
  closing.push(() => app.close({ timeout: 50 }))
  const { port } = server.address() as { port: number }
  const client = await new App({ logger: false }).use(mqtt({ client: { websocket: websocket() } })).connect(`ws://127.0.0.1:${port}/iot`)
  closing.push(() => client.close())
  expect(await (await client.get('/lights/hall')).text()).toBe('on')
})

test.each([
  ['ws', async (url: string) => new App({ logger: false }).use(mqtt()).connect(url)],
  [
    'wss',
    async (url: string) =>
      new App({ logger: false })
        .use(router())
        .use(mqtt({ broker: bridge(url, { topics: ['a'] }) }))
        .listen()
  ]
] as const)('names what to install and to import for a URL of %s', async (scheme, reach) => {
  await expect(reach(`${scheme}://127.0.0.1:1/`)).rejects.toMatchObject({
    status: 500,
    code: 'websocket-missing',
    message: expect.stringMatching(/npm install ws, import \{ websocket \} from '@iopa\/mqtt\/websocket'/)
  })
})
