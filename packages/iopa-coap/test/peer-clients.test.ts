import { App, type Client, type Context, type Peer, reply } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { eventually } from './eventually.ts'
import { line, RawPeer, rawRequest } from './raw-peer.ts'

/** A hub to which peers say hello; it keeps the last of them. */
const hub = async (options: Parameters<typeof coap>[0] = {}) => {
  const app = new App({ logger: false }).use(router()).use(coap({ port: 0, ...options }))
  let peer: Peer | undefined
  app.post('/hello', context => {
    peer = context.peer
    return 'welcome'
  })
  app.get('/echo', async context => {
    const client = await (context.peer as Peer).client()
    const answer = await client.get('/name')
    await client.close()
    return `you are ${await answer.text()}`
  })
  const [listener] = await app.listen()
  return {
    app,
    url: listener!.url,
    port: Number(listener!.url.port),
    get peer(): Peer {
      return peer as Peer
    },
    [Symbol.asyncDispose]: () => app.close({ timeout: 500 })
  }
}

describe('a client to a peer over UDP', () => {
  test('sends from the listening port, with an id and a token of its own, while the request of the peer is in work', async () => {
    await using server = await hub()
    const device = await RawPeer.to(server.port)
    device.send(rawRequest(CODE.GET, { path: '/echo', id: 7, token: 'mine' }))
    // A server on a stalled machine acknowledges first, and answers later.
    const next = async (): Promise<ReceivedMessage> => {
      const message = await device.next()
      return message.type === TYPE.ACK && message.code === CODE.EMPTY ? next() : message
    }
    const asked = await next()
    expect([asked.type, asked.code, asked.options.getAll(OPTION.URI_PATH).map(String)]).toEqual([TYPE.CON, CODE.GET, ['name']])
    expect(Buffer.from(asked.token).toString()).not.toBe('mine')
    // A piggybacked answer, under the id of the server.
    const answer = rawRequest(CODE.CONTENT, { type: TYPE.ACK, id: asked.id, token: 'x', payload: 'A' })
    device.send(Buffer.concat([Buffer.of(0x68, 0x45, asked.id >> 8, asked.id & 255), asked.token, Buffer.from('ff41', 'hex')]))
    expect(answer.length).toBeGreaterThan(4)
    expect(line(await next())).toMatch(/^(?:ACK|CON) 2\.05 \{mine\} "you are A"$/)
    device.close()
  })

  test('takes no response of another peer, and none under the token of a request of the peer', async () => {
    await using server = await hub()
    const device = await RawPeer.to(server.port)
    const stranger = await RawPeer.to(server.port)
    await device.ask(CODE.POST, { path: '/hello' })
    const client = await server.peer.client()
    const answer = client.get('/name')
    const asked = await device.next()
    const forged = (id: number): Uint8Array => Buffer.concat([Buffer.of(0x58, 0x45, id >> 8, id & 255), asked.token, Buffer.from('ff58', 'hex')])
    stranger.send(forged(1))
    expect((await stranger.next()).type).toBe(TYPE.RST)
    device.send(rawRequest(CODE.CONTENT, { type: TYPE.NON, id: 99, token: 'tk', payload: 'wrong' }))
    expect((await device.next()).type).toBe(TYPE.RST)
    device.send(Buffer.concat([Buffer.of(0x58, 0x45, 0, 5), asked.token, Buffer.from('ff41', 'hex')]))
    expect(await (await answer).text()).toBe('A')
    device.close()
    stranger.close()
  })

  test('is refused beyond sixteen of one peer, and none is kept by closed ones', async () => {
    await using server = await hub()
    const device = await RawPeer.to(server.port)
    await device.ask(CODE.POST, { path: '/hello' })
    const clients: Client[] = []
    for (let i = 0; i < 16; i++) clients.push(await server.peer.client())
    await expect(server.peer.client()).rejects.toMatchObject({ status: 503, code: 'too-many-clients' })
    await Promise.all(clients.map(client => client.close()))
    await (await server.peer.client()).close()
    device.close()
  })

  test('refuses unknown options by name', async () => {
    await using server = await hub()
    const device = await RawPeer.to(server.port)
    await device.ask(CODE.POST, { path: '/hello' })
    await expect(server.peer.client({ silense: 1 } as never)).rejects.toMatchObject({ code: 'bad-option' })
    device.close()
  })
})

/** An app that a device serves to its hub, and the device's client. */
const deviceOf = async (url: URL | string, build: (app: App & ReturnType<typeof routed>) => unknown, connect: object = {}, options: object = {}) => {
  const served = routed()
  build(served as never)
  const app = new App({ logger: false }).use(coap(options))
  const client = await app.connect(url, { serve: served, ...connect })
  return {
    client,
    app,
    served,
    [Symbol.asyncDispose]: async () => {
      await app.close({ timeout: 100 })
      await served.close({ timeout: 100 })
    }
  }
}
const routed = () => new App({ logger: false }).use(router())

const KEY = Buffer.from('the key of the lamp')
const PSK = { lamp: KEY }
/** The options of a hub, of a device, and of the client of the device. */
const SCHEMES: Record<string, readonly [CoapOptions, CoapOptions, object]> = {
  coap: [{}, {}, {}],
  'coap+tcp': [{ udp: false, tcp: true }, {}, {}],
  coaps: [{ dtls: dtls({ psk: PSK }) }, { dtls: dtls({ psk: PSK }) }, {}],
  'coaps+tcp': [{ udp: false, tls: { psk: PSK, port: 0 } }, {}, { tls: { psk: PSK, pskIdentity: 'lamp' } }]
}

describe.each(['coap', 'coap+tcp', 'coaps'])('both roles over %s', scheme => {
  const [hubOptions, deviceOptions] = SCHEMES[scheme]!
  const start = () => hub(hubOptions)
  const serveDevice = (url: URL, build: (app: App & ReturnType<typeof routed>) => unknown) => deviceOf(url, build, {}, deviceOptions)

  test('a device serves the hub that it is a client of', async () => {
    await using server = await start()
    let users: unknown[] = []
    await using device = await serveDevice(server.url, app => {
      app.get('/name', (context: Context) => {
        users.push(context.user, context.remotePort)
        return 'lamp'
      })
      app.put('/level', async (context: Context) => reply(200, { level: (await context.json<{ level: number }>()).level }))
    })
    expect(await (await device.client.get('/echo')).text()).toBe('you are lamp')
    expect(users).toEqual([undefined, server.port])
    users = []
    await device.client.post('/hello', 'x')
    await using client = await server.peer.client()
    expect(await (await client.put('/level', { level: 3 })).json()).toEqual({ level: 3 })
    expect((await client.get('/nothing')).status).toBe(404)
  })

  test('sends large bodies both ways at the same time', async () => {
    await using server = await start()
    server.app
    const large = 'x'.repeat(200_000)
    await using device = await serveDevice(server.url, app => {
      app.get('/large', () => large)
      app.post('/large', async (context: Context) => String((await context.bytes()).length))
    })
    await device.client.post('/hello', 'x')
    await using client = await server.peer.client()
    const [down, up] = await Promise.all([client.get('/large'), client.post('/large', large), device.client.post('/hello', large)])
    expect((await down.text()).length).toBe(large.length)
    expect(await up.text()).toBe('200000')
  })

  test('observes a resource of the device until it leaves', async () => {
    await using server = await start()
    let level = 1
    await using device = await serveDevice(server.url, app => void app.get('/level', () => String(level)))
    await device.client.post('/hello', 'x')
    await using client = await server.peer.client()
    const seen: string[] = []
    for await (const answer of client.observe('/level')) {
      seen.push(await answer.text())
      if (seen.length === 3) break
      level++
      device.served.notify('/level')
    }
    expect(seen).toEqual(['1', '2', '3'])
  })

  test('a client without serve refuses what its server asks', async () => {
    await using server = await start()
    await using app = new App({ logger: false }).use(coap(deviceOptions))
    const device = await app.connect(server.url)
    await device.post('/hello', 'x')
    await using client = await server.peer.client()
    if (scheme !== 'coap+tcp') await expect(client.get('/name')).rejects.toMatchObject({ code: 'peer-reset' })
    else expect((await client.get('/name')).status).toBe(501)
  })

  test('context.peer is one object for a session', async () => {
    await using server = await start()
    await using device = await serveDevice(server.url, () => undefined)
    await device.client.post('/hello', 'x')
    const first = server.peer
    await device.client.post('/hello', 'x')
    expect(server.peer).toBe(first)
  })
})

describe('the user of a server that a client serves', () => {
  test.each(['coap', 'coap+tcp'])('is not taken over %s, where nothing proves it', async scheme => {
    await using server = await hub(SCHEMES[scheme]![0])
    await using app = new App({ logger: false }).use(coap())
    await expect(app.connect(server.url, { serve: { app: routed(), user: 'hub' } })).rejects.toMatchObject({ status: 400, code: 'unproven-server' })
  })

  test.each(['coaps', 'coaps+tcp'])('is that of the connection and of its requests over %s', async scheme => {
    const [hubOptions, deviceOptions, connect] = SCHEMES[scheme]!
    await using server = await hub(hubOptions)
    const seen: unknown[] = []
    const served = new App({ logger: false })
      .use((context, next) => {
        seen.push([context.method, context.user, context['server.TLS'], context.scheme])
        return next()
      })
      .use(router())
    served.get('/name', () => 'lamp')
    await using app = new App({ logger: false }).use(coap(deviceOptions))
    const device = await app.connect(server.url, { serve: { app: served, user: 'hub' }, ...connect })
    expect(await (await device.get('/echo')).text()).toBe('you are lamp')
    const user = { id: 'hub', by: 'psk' }
    expect(seen).toEqual([
      ['CONNECT', user, true, scheme],
      ['GET', user, true, scheme]
    ])
    await device.close()
    await eventually(() => served.live === 0, 'the connection has ended')
    await served.close({ timeout: 0 })
  })

  test.each(['coaps', 'coaps+tcp'])('may be refused by the app over %s', async scheme => {
    const [hubOptions, deviceOptions, connect] = SCHEMES[scheme]!
    await using server = await hub(hubOptions)
    const served = new App({ logger: false }).use(({ method }) => (method === 'CONNECT' ? reply(403) : 'lamp'))
    await using app = new App({ logger: false }).use(coap(deviceOptions))
    await expect(app.connect(server.url, { serve: { app: served, user: 'hub' }, ...connect })).rejects.toMatchObject({ code: 'server-refused' })
    await eventually(() => served.live === 0, 'the connection has ended')
    await eventually(() => server.app.counters().coap?.connections === 0, 'the session has ended')
  })
})

test('a client over DTLS leaves nothing behind whose time is over before the app accepts its server', async () => {
  const [hubOptions, deviceOptions] = SCHEMES['coaps']!
  await using server = await hub(hubOptions)
  let accept: (answer: string) => void = () => undefined
  const served = new App({ logger: false }).use(() => new Promise<string>(resolve => (accept = resolve)))
  await using app = new App({ logger: false }).use(coap(deviceOptions))
  await expect(app.connect(server.url, { serve: { app: served, user: 'hub' }, timeout: 500 })).rejects.toMatchObject({ code: 'timeout' })
  await eventually(() => server.app.counters().coap?.connections === 0, 'the session has ended')
  accept('late')
  await eventually(() => served.live === 0, 'the connection has ended')
})

describe.each(['coap+tcp', 'coaps'])('a client to a peer over %s', scheme => {
  const [hubOptions, deviceOptions] = SCHEMES[scheme]!

  test('ends with the connection: requests and observations fail, and the next connection is another peer', async () => {
    await using server = await hub(hubOptions)
    const build = (app: App & ReturnType<typeof routed>): void => {
      app.get('/name', () => 'lamp')
      app.get('/never', () => new Promise(() => undefined))
    }
    const device = await deviceOf(server.url, build, {}, deviceOptions)
    await device.client.post('/hello', 'x')
    const { peer } = server
    const client = await peer.client()
    const waiting = expect(client.get('/never')).rejects.toMatchObject({ code: 'peer-gone' })
    const observing = (async () => {
      for await (const answer of client.observe('/name')) expect(await answer.text()).toBe('lamp')
    })()
    const observed = expect(observing).rejects.toMatchObject({ code: 'peer-gone' })
    expect((await client.get('/name')).status).toBe(200)
    await device[Symbol.asyncDispose]()
    await waiting
    await observed
    await expect(client.get('/name')).rejects.toMatchObject({ status: 503, code: 'peer-gone' })
    await expect(peer.client()).rejects.toMatchObject({ code: 'peer-gone' })
    await using next = await deviceOf(server.url, build, {}, deviceOptions)
    await next.client.post('/hello', 'x')
    expect(server.peer).not.toBe(peer)
    await using other = await server.peer.client()
    expect((await other.get('/name')).status).toBe(200)
    await expect(client.get('/name')).rejects.toMatchObject({ code: 'peer-gone' })
  })

  test.runIf(scheme === 'coap+tcp')('is answered although as many requests as may be are in work, which wait for it', async () => {
    await using server = await hub({ udp: false, tcp: true, limits: { inFlightPerConnection: 2 } })
    await using device = await deviceOf(server.url, app => void app.get('/name', () => 'lamp'))
    const answers = await Promise.all(Array.from({ length: 6 }, () => device.client.get('/echo')))
    const statuses = answers.map(({ status }) => status)
    expect(statuses).toContain(200)
    expect(statuses.every(status => status === 200 || status === 503)).toBe(true)
  })
})

test('a transport that cannot serve both ways refuses serve', async () => {
  const { tcp } = await import('@iopa/tcp')
  await using app = new App({ logger: false }).use(tcp({ port: 0 }))
  await expect(app.connect('tcp://127.0.0.1:1', { serve: new App() })).rejects.toMatchObject({ status: 501, code: 'not-served' })
})

test('context.peer is undefined where the protocol has none', async () => {
  await using app = new App({ logger: false })
  let peer: unknown = 0
  app.use(context => {
    peer = context.peer
    return 'x'
  })
  await app.invoke({ 'iopa.Path': '/' })
  expect(peer).toBeUndefined()
})

test('the live contexts of hub and device return to zero', async () => {
  const server = await hub()
  const device = await deviceOf(server.url, app => void app.get('/name', () => 'lamp'))
  expect(await (await device.client.get('/echo')).text()).toBe('you are lamp')
  await eventually(() => server.app.live === 0 && device.served.live === 0, 'contexts have ended')
  await device[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})
