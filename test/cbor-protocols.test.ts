// One app with the codec for CBOR: what is put, got and observed in CBOR on each protocol, by our clients and by others.
import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { App, type Client, type ReceivedAnswer, type Transport } from '@iopa/appbuilder'
import { cbor } from '@iopa/cbor'
import { type CoapListener, coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { type Listener, parseUrl } from '@iopa/transport'
import { udp } from '@iopa/udp'
import mqttJs from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from './hostile-support.ts'

const JSON_TYPE = 'application/json'
const CBOR = 'application/cbor'
const run = promisify(execFile)

type Protocol = 'http' | 'coap' | 'coap+tcp' | 'mqtt' | 'tcp' | 'udp'
const PROTOCOLS: readonly Protocol[] = ['http', 'coap', 'coap+tcp', 'mqtt', 'tcp', 'udp']

/** `{"on":true,"level":n}`, members in the order of their keys. */
const lightIn = (level: number): Buffer => Buffer.from(`a2626f6ef5656c6576656c${level.toString(16).padStart(2, '0')}`, 'hex')
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

let app: App & { readonly live: number }
let state: unknown = { on: true, level: 1 }
let gets = 0
const urls = {} as Record<Protocol, string>
const clients = {} as Record<Protocol, Client>
const making = new App({ logger: false, codecs: [cbor()] }).use(http()).use(coap()).use(mqtt()).use(tcp()).use(udp())

const portOf = (protocol: Protocol): number => parseUrl(new URL(urls[protocol])).port as number

beforeAll(async () => {
  const served = new App({ logger: false, codecs: [cbor()] }).use(router())
  served.get('/light', () => {
    gets++
    return state
  })
  served.put('/light', async context => {
    state = await context.json()
    return { kept: true }
  })
  const transports: readonly Transport[] = [
    http({ port: 0 }),
    coap({ port: 0, tcp: true }),
    mqtt({ port: 0, statistics: false }),
    tcp({ port: 0 }),
    udp({ port: 0 })
  ]
  for (const transport of transports) served.use(transport)
  const [web, things, broker, stream, packets] = (await served.listen()) as [Listener, CoapListener, Listener, Listener, Listener]
  urls.http = web.url.href
  for (const url of things.urls) urls[url.protocol.slice(0, -1) as Protocol] = url.href
  urls.mqtt = broker.url.href
  urls.tcp = stream.url.href
  urls.udp = packets.url.href
  for (const protocol of PROTOCOLS) clients[protocol] = await making.connect(urls[protocol])
  app = served
})

afterAll(async () => {
  for (const protocol of PROTOCOLS) await clients[protocol].close()
  await making.close({ timeout: 0 })
  await app.close({ timeout: 500 })
  expect(app.live).toBe(0)
})

describe.each(PROTOCOLS)('over %s, our client', protocol => {
  test('puts a value in CBOR', async () => {
    const answer = await clients[protocol].put('/light', { on: true, level: 7 }, { type: CBOR, headers: { accept: CBOR } })
    expect([answer.status, await answer.json()]).toEqual([expect.any(Number), { kept: true }])
    expect(answer.ok).toBe(true)
    expect(state).toEqual({ on: true, level: 7 })
  })

  test('gets it in CBOR where it asks for that, and in JSON otherwise', async () => {
    state = { on: true, level: 9 }
    const inCbor = await clients[protocol].get('/light', { headers: { accept: CBOR } })
    expect([inCbor.status, inCbor.type, hex(await inCbor.bytes()), await inCbor.json()]).toEqual([200, CBOR, hex(lightIn(9)), state])
    const plain = await clients[protocol].get('/light')
    expect([plain.type, await plain.text()]).toEqual([JSON_TYPE, '{"on":true,"level":9}'])
    expect((await clients[protocol].get('/light', { headers: { accept: JSON_TYPE } })).type).toBe(JSON_TYPE)
  })

  test('is refused with CBOR that cannot be read, in the form of its protocol', async () => {
    for (const [bytes, code] of [
      ['a1', 'malformed-cbor'],
      ['c100', 'unsupported-cbor'],
      ['a1695f5f70726f746f5f5fa0', 'forbidden-key']
    ] as const) {
      const answer = await clients[protocol].put('/light', Buffer.from(bytes, 'hex'), { type: CBOR, headers: { accept: CBOR } })
      expect(answer.status).toBe(400)
      expect(answer.type).not.toBe(CBOR)
      expect(answer.error?.message).toMatch(/CBOR|key/)
      // CoAP and MQTT have a text for a person instead of the problem.
      if (['http', 'tcp', 'udp'].includes(protocol)) expect(await answer.json()).toMatchObject({ status: 400, code })
    }
  })
})

test('gives observers of each media type one run of a change, CBOR where the protocol carries it', async () => {
  state = { on: true, level: 0 }
  const stop = new AbortController()
  const told: string[] = []
  const observing = (['http', 'coap', 'coap+tcp', 'tcp', 'mqtt'] as const).flatMap(protocol =>
    [CBOR, undefined].map(async (accept, at) => {
      const client = await making.connect(urls[protocol])
      const name = `${protocol}${at}`
      const hear = async (answer: ReceivedAnswer): Promise<void> => {
        told.push(`${name} ${answer.type} ${JSON.stringify(await answer.json())}`)
      }
      for await (const answer of client.observe('/light', { signal: stop.signal, ...(accept === undefined ? {} : { headers: { accept } }) }))
        await hear(answer)
      await client.close()
    })
  )
  await until(
    'all have the first state',
    () => told.length === 10,
    () => told
  )
  told.length = 0
  // The first change finds out what the run reads, the second knows.
  for (const level of [1, 2]) {
    gets = 0
    state = { on: true, level }
    app.notify('/light')
    await until(
      'all have the change',
      () => told.length === 10 * level,
      () => told
    )
  }
  expect(gets).toBe(2)
  stop.abort()
  await Promise.all(observing)
  const types = Object.fromEntries(told.slice(10).map(line => line.split(' ').slice(0, 2) as [string, string]))
  expect(types).toEqual({
    http0: JSON_TYPE,
    http1: JSON_TYPE,
    coap0: CBOR,
    coap1: JSON_TYPE,
    'coap+tcp0': CBOR,
    'coap+tcp1': JSON_TYPE,
    tcp0: CBOR,
    tcp1: JSON_TYPE,
    mqtt0: JSON_TYPE,
    mqtt1: JSON_TYPE
  })
})

describe('a client of another maker', () => {
  test('of HTTP: fetch, with Vary, and a problem in JSON', async () => {
    const put = await fetch(`${urls.http}light`, {
      method: 'PUT',
      headers: { 'content-type': CBOR, accept: CBOR },
      body: Uint8Array.from(lightIn(3))
    })
    expect([put.status, hex(new Uint8Array(await put.arrayBuffer()))]).toEqual([200, 'a1646b657074f5'])
    expect(state).toEqual({ on: true, level: 3 })
    const got = await fetch(`${urls.http}light`, { headers: { accept: 'application/cbor, */*;q=0.1' } })
    expect([got.headers.get('content-type'), got.headers.get('vary'), hex(new Uint8Array(await got.arrayBuffer()))]).toEqual([
      CBOR,
      'accept',
      hex(lightIn(3))
    ])
    expect((await fetch(`${urls.http}light`)).headers.get('vary')).toBe('accept')
    const missing = await fetch(`${urls.http}dark`, { headers: { accept: CBOR } })
    expect([missing.status, missing.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
  })

  test("of HTTP: a tag that is the representation's own", async () => {
    const tagOf = async (accept: string): Promise<string | null> =>
      (await fetch(`${urls.http}light`, { headers: { accept, 'if-none-match': '""' } })).headers.get('etag')
    const tag = (await tagOf(CBOR)) as string
    expect(await tagOf(JSON_TYPE)).not.toBe(tag)
    const again = (accept: string) => fetch(`${urls.http}light`, { headers: { accept, 'if-none-match': tag } })
    expect([(await again(CBOR)).status, (await again(JSON_TYPE)).status]).toEqual([304, 200])
  })

  test('of CoAP: libcoap, with Content-Format and Accept 60', async context => {
    const client = await run('sh', ['-c', 'command -v coap-client-notls']).catch(() => null)
    if (client === null) return context.skip()
    const url = `${urls.coap.replace(/\/$/, '')}/light`
    await run('coap-client-notls', [
      '-B',
      '3',
      '-m',
      'put',
      '-t',
      '60',
      '-e',
      lightIn(4)
        .toString('latin1')
        .replace(/[\x80-\xff]/g, byte => `%${byte.charCodeAt(0).toString(16)}`),
      url
    ])
    expect(state).toEqual({ on: true, level: 4 })
    const { stdout } = await run('coap-client-notls', ['-B', '3', '-v', '6', '-A', '60', url])
    expect(stdout).toMatch(/c:2\.05 .*Content-Format:application\/cbor/)
    const problem = await run('coap-client-notls', ['-B', '3', '-v', '6', '-A', '60', `${url}s`])
    expect(problem.stdout).toMatch(/c:4\.04/)
  })

  describe('of MQTT: MQTT.js', () => {
    const request = async (properties: mqttJs.IClientPublishOptions['properties'], payload: Buffer | string, method?: string) => {
      const client = await mqttJs.connectAsync(urls.mqtt, { protocolVersion: 5 })
      try {
        await client.subscribeAsync('answers')
        const answered = new Promise<[string | undefined, string]>(resolve => {
          client.on('message', (_, body, packet) => resolve([packet.properties?.contentType, hex(body)]))
        })
        const given = properties?.userProperties as Record<string, string> | undefined
        const userProperties = method === undefined ? given : { ...given, method }
        const sent = { ...properties, responseTopic: 'answers', ...(userProperties === undefined ? {} : { userProperties }) }
        await client.publishAsync('light', payload, { qos: 1, properties: sent })
        return await answered
      } finally {
        await client.endAsync(true)
      }
    }

    test('gets its own content type back where it names no other', async () => {
      state = { on: true, level: 5 }
      expect(await request({ contentType: CBOR }, lightIn(6), 'PUT')).toEqual([CBOR, 'a1646b657074f5'])
      expect(state).toEqual({ on: true, level: 6 })
      expect(await request({ contentType: CBOR }, '')).toEqual([CBOR, hex(lightIn(6))])
      expect(await request({ contentType: CBOR, userProperties: { accept: JSON_TYPE } }, '')).toEqual([
        JSON_TYPE,
        hex(Buffer.from(JSON.stringify(state)))
      ])
    })

    test('gets what its user property accept says, and JSON without', async () => {
      state = { on: true, level: 5 }
      expect(await request({ userProperties: { accept: CBOR } }, '')).toEqual([CBOR, hex(lightIn(5))])
      expect((await request({}, ''))[0]).toBe(JSON_TYPE)
    })

    test('has its subscriptions in what CONNECT accepts', async () => {
      state = { on: true, level: 8 }
      const client = await mqttJs.connectAsync(urls.mqtt, { protocolVersion: 5, properties: { userProperties: { accept: CBOR } } })
      const told: [string | undefined, string][] = []
      client.on('message', (_, body, packet) => told.push([packet.properties?.contentType, hex(body)]))
      await client.subscribeAsync('light', { qos: 1 })
      await until('the first message', () => told.length === 1)
      await clients.http.put('/light', { on: true, level: 9 })
      await until('the change', () => told.length === 2)
      await client.endAsync(true)
      expect(told).toEqual([
        [CBOR, hex(lightIn(8))],
        [CBOR, hex(lightIn(9))]
      ])
    })
  })

  test('of TCP: a line of JSON with the body in base64', async () => {
    const socket = connect(portOf('tcp'), '127.0.0.1')
    let text = ''
    socket.on('data', data => (text += data))
    const bag = {
      'iopa.Method': 'PUT',
      'iopa.Path': '/light',
      'iopa.ContentType': CBOR,
      'iopa.BodyEncoding': 'base64',
      'iopa.Body': lightIn(10).toString('base64')
    }
    socket.write(`${JSON.stringify({ ...bag, 'iopa.Seq': 1 })}\n`)
    await until('the first answer', () => text.includes('\n'))
    socket.write(`${JSON.stringify({ 'iopa.Method': 'GET', 'iopa.Path': '/light', 'iopa.Headers': { accept: CBOR }, 'iopa.Seq': 2 })}\n`)
    await until('both answers', () => text.split('\n').length === 3)
    socket.destroy()
    const [put, get] = text.split('\n', 2).map(line => JSON.parse(line) as Record<string, unknown>)
    expect(put).toMatchObject({ 'iopa.Seq': 1, 'iopa.Body': { kept: true } })
    expect(get).toMatchObject({ 'iopa.Seq': 2, 'iopa.ContentType': CBOR, 'iopa.BodyEncoding': 'base64', 'iopa.Body': lightIn(10).toString('base64') })
    expect(JSON.stringify(get)).not.toContain('vary')
  })

  test('of UDP: a datagram of JSON with the body in base64', async () => {
    state = { on: true, level: 11 }
    const socket = createSocket('udp4')
    const answered = new Promise<Record<string, unknown>>(resolve => socket.on('message', data => resolve(JSON.parse(String(data)))))
    socket.send(JSON.stringify({ 'iopa.Method': 'GET', 'iopa.Path': '/light', 'iopa.Headers': { accept: CBOR } }), portOf('udp'), '127.0.0.1')
    const got = await answered
    socket.close()
    expect(got).toMatchObject({ 'iopa.ContentType': CBOR, 'iopa.BodyEncoding': 'base64', 'iopa.Body': lightIn(11).toString('base64') })
  })
})
