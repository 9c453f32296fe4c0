import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { App, type ConnectOptions, IopaError } from '@iopa/appbuilder'
import type { LinkAnswer } from '@iopa/context'
import { router } from '@iopa/router'
import type { Client } from '@iopa/transport'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { MqttClientOptions } from '../src/client.ts'
import { mqtt } from '../src/mqtt.ts'
import { connectMqtt } from './fixtures/connect-mqtt.ts'
import { house } from './fixtures/house.ts'
import { describeWith, mosquitto, type Peer, until } from './fixtures/peers.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const connect = async (url: string | URL, options: ConnectOptions & MqttClientOptions = {}): Promise<Client> => {
  const channel = await connectMqtt(new URL(url), { reconnect: { initial: 20 }, ...options })
  closing.push(() => channel.close())
  return channel
}

const request = (method: string, path: string, body?: unknown, more: object = {}): Parameters<Client['send']>[0] => ({
  'iopa.Method': method,
  'iopa.Path': path,
  ...(body === undefined ? {} : { 'iopa.Body': body }),
  ...more
})

/** Collects what an observation gives until it ends. */
const observe = (channel: Client, path: string): { seen: string[]; ended: Promise<unknown>; stop(): void } => {
  const seen: string[] = []
  const ending = new AbortController()
  const ended = (async () => {
    for await (const answer of channel.observe({ 'iopa.Path': path, 'iopa.CallCancelled': ending.signal }))
      seen.push(await (answer as LinkAnswer).text())
  })().catch((error: unknown) => error)
  return { seen, ended, stop: () => ending.abort() }
}

describe('the client of an IOPA broker', () => {
  const serve = async (): Promise<{ app: App; url: URL; lights: Map<string, string> }> => {
    const lights = new Map([['hall', 'off']])
    const app = new App({ logger: false }).use(router()).use(mqtt({ port: 0 }))
    app.get('/lights/:id', ({ params }) => {
      const value = lights.get(params.id)
      if (value === undefined) throw new IopaError(404, 'no-light', 'There is no such light.')
      return value
    })
    app.put('/lights/:id', async context => {
      const value = await context.text()
      if (value === 'bad') throw new IopaError(422, 'bad-light', 'A light is not bad.')
      lights.set(context.params.id, value)
    })
    app.delete('/lights/:id', ({ params }) => void lights.delete(params.id))
    app.post('/echo', async context => {
      context.response.headers.set('x-asked', context.headers.get('x-ask') ?? '')
      return { method: context.method, got: await context.json() }
    })
    app.get('/never', () => new Promise(() => {}))
    const [listener] = await app.listen()
    closing.push(() => app.close({ timeout: 50 }))
    return { app, url: listener!.url, lights }
  }

  test('sends a request without waiting for an acknowledgement that TCP delays', async () => {
    const { url } = await serve()
    const channel = await connect(url)
    const times: number[] = []
    for (let round = 0; round < 15; round++) {
      const start = performance.now()
      await channel.send(request('GET', '/lights/hall'))
      times.push(performance.now() - start)
    }
    // The delay is 40 ms at least; the median leaves out what else the machine does.
    expect(times.sort((a, b) => a - b)[7]).toBeLessThan(30)
  })

  test('gets, puts, posts and deletes with the answer of the handler', async () => {
    const { url, lights } = await serve()
    const channel = await connect(url)
    expect(await (await channel.send(request('GET', '/lights/hall'))).text()).toBe('off')
    expect((await channel.send(request('PUT', '/lights/hall', 'on'))).status).toBe(204)
    expect(lights.get('hall')).toBe('on')
    const echoed = await channel.send(request('POST', '/echo', { a: 1 }, { 'iopa.Headers': { 'X-Ask': 'yes' } }))
    expect([echoed.status, echoed.type, await echoed.json(), echoed.headers.get('x-asked')]).toEqual([
      200,
      'application/json',
      { method: 'POST', got: { a: 1 } },
      'yes'
    ])
    const refused = await channel.send(request('PUT', '/lights/hall', 'bad'))
    expect([refused.status, await refused.json()]).toMatchObject([422, { code: 'bad-light', detail: 'A light is not bad.' }])
    expect((await channel.send(request('GET', '/lights/attic'))).status).toBe(404)
    expect((await channel.send(request('DELETE', '/lights/hall'))).status).toBe(204)
    expect(lights.has('hall')).toBe(false)
    expect((await channel.send(request('GET', '/nothing/here'))).status).toBe(404)
  })

  test('works the same under app.connect()', async () => {
    const { url } = await serve()
    const client = await new App({ logger: false }).use(mqtt()).connect(url.href)
    closing.push(() => client.close())
    expect((await client.put('/lights/hall', 'on')).status).toBe(204)
    expect(await (await client.get('/lights/hall')).text()).toBe('on')
  })

  test('resolves with the acknowledgement by option, with its status', async () => {
    const { url } = await serve()
    const channel = await connect(url, { answer: 'acknowledgement' })
    expect((await channel.send(request('PUT', '/lights/hall', 'on'))).status).toBe(204)
    const refused = await channel.send(request('PUT', '/lights/hall', 'bad'))
    expect([refused.status, await refused.text()]).toEqual([422, 'A light is not bad.'])
  })

  test('maps every path that a topic can express', async () => {
    const app = new App({ logger: false })
      .use(mqtt({ port: 0 }))
      .use(({ method, path, segments }) => (method === 'GET' ? { path, segments } : undefined))
    const [listener] = await app.listen()
    closing.push(() => app.close({ timeout: 50 }))
    const channel = await connect(listener!.url)
    for (const path of ['/a/b', '/a/', '/a b/ü', '/100%25']) {
      expect(await (await channel.send(request('GET', path))).json()).toEqual({ path, segments: path.slice(1).split('/') })
    }
  })

  test('has many requests under way at once, each with its own answer', async () => {
    const { url } = await serve()
    const channel = await connect(url)
    const answers = await Promise.all(Array.from({ length: 300 }, (_, n) => channel.send(request('POST', '/echo', n))))
    expect(await Promise.all(answers.map(async answer => ((await answer.json()) as { got: number }).got))).toEqual(
      Array.from({ length: 300 }, (_, n) => n)
    )
  })

  test('observes a resource from its state on, and ends with the signal', async () => {
    const { url, app, lights } = await serve()
    const channel = await connect(url)
    const { seen, ended, stop } = observe(channel, '/lights/hall')
    await until(() => seen.length === 1)
    await channel.send(request('PUT', '/lights/hall', 'on'))
    await until(() => seen.length === 2)
    lights.set('hall', 'dim')
    app.notify('/lights/hall')
    await until(() => seen.length === 3)
    stop()
    expect(await ended).toBeUndefined()
    expect(seen).toEqual(['off', 'on', 'dim'])
  })

  test('gives each of several observers all of it, the first message too', async () => {
    const { url } = await serve()
    const channel = await connect(url)
    const first = observe(channel, '/lights/hall')
    await until(() => first.seen.length === 1)
    const second = observe(channel, '/lights/hall')
    await until(() => second.seen.length === 1)
    await channel.send(request('PUT', '/lights/hall', 'on'))
    await until(() => first.seen.length > 1 && second.seen.length > 1)
    first.stop()
    await first.ended
    await channel.send(request('PUT', '/lights/hall', 'dim'))
    await until(() => second.seen.length === 3)
    expect([first.seen, second.seen]).toEqual([
      ['off', 'on'],
      ['off', 'on', 'dim']
    ])
    second.stop()
    await second.ended
  })

  test('settles pending requests on timeout, abort and close', async () => {
    const { url } = await serve()
    const hasty = await connect(url, { timeout: 100 })
    await expect(hasty.send(request('GET', '/never'))).rejects.toMatchObject({ status: 504, code: 'timeout' })
    const channel = await connect(url)
    const stop = new AbortController()
    const aborted = channel.send(request('GET', '/never', undefined, { 'iopa.CallCancelled': stop.signal }))
    const abandoned = channel.send(request('GET', '/never')).catch((error: unknown) => error)
    const observed = observe(channel, '/lights/hall')
    await until(() => observed.seen.length === 1)
    stop.abort(new Error('changed my mind'))
    await expect(aborted).rejects.toThrow('changed my mind')
    await channel.close()
    expect(await abandoned).toMatchObject({ status: 503, code: 'closed' })
    expect(await observed.ended).toBeUndefined()
    await expect(channel.send(request('GET', '/lights/hall'))).rejects.toMatchObject({ status: 503, code: 'closed' })
  })

  test('refuses paths that a topic cannot express', async () => {
    const { url } = await serve()
    const channel = await connect(url)
    await expect(channel.send(request('GET', '/'))).rejects.toMatchObject({ status: 400, code: 'bad-topic' })
    await expect(channel.send(request('PUT', '/lights/+', 'x'))).rejects.toMatchObject({ status: 400, code: 'bad-topic' })
    await expect(channel.send(request('GET', '/lights/hall', undefined, { 'iopa.QueryString': 'a=1' }))).rejects.toMatchObject({
      status: 400,
      code: 'no-query-in-mqtt'
    })
    await expect(channel.send(request('SUBSCRIBE', '/lights/hall'))).rejects.toMatchObject({ status: 400, code: 'control-method' })
    await expect(channel.send(request('PUT', '/lights/hall', 'x', { 'iopa.Headers': { 'x-long': 'x'.repeat(70_000) } }))).rejects.toMatchObject({
      status: 400
    })
  })
})

describe('connecting', () => {
  test('rejects if nothing listens, if nothing answers, and with its signal', async () => {
    await expect(connect('mqtt://127.0.0.1:1')).rejects.toMatchObject({ status: 502, code: 'connect-failed' })
    const sockets: Socket[] = []
    const silent = createServer(socket => sockets.push(socket)).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    closing.push(() => {
      silent.close()
      for (const socket of sockets) socket.destroy()
    })
    const url = `mqtt://127.0.0.1:${(silent.address() as AddressInfo).port}`
    await expect(connect(url, { timeout: 80 })).rejects.toMatchObject({ status: 504, code: 'timeout' })
    const stop = new AbortController()
    const connecting = connect(url, { signal: stop.signal })
    setTimeout(() => stop.abort(new Error('not any more')), 20)
    await expect(connecting).rejects.toThrow('not any more')
    await expect(connect('mqtts://127.0.0.1:1', { tls: { ca: 'nonsense' } })).rejects.toBeInstanceOf(Error)
  })
})

describeWith(['mosquitto'], 'the client of mosquitto', () => {
  let broker: Peer
  let other: MqttClient
  beforeAll(async () => {
    broker = await mosquitto()
    other = await connectAsync(broker.url, { protocolVersion: 5, reconnectPeriod: 20 })
  })
  afterAll(async () => {
    await other?.endAsync(true)
    await broker?.dispose()
  })

  test('asks a worker behind it, and learns the status of its handler', async () => {
    const worker = await house({ broker: broker.url, share: 'house' })
    closing.push(() => worker.close(100))
    const channel = await connect(broker.url, { statePrefix: 'state' })
    expect((await channel.send(request('PUT', '/lights/hall', 'on'))).status).toBe(204)
    expect(await (await channel.send(request('GET', '/lights/hall'))).text()).toBe('on')
    expect((await channel.send(request('PUT', '/lights/hall', 'bad'))).status).toBe(422)
    const { seen, ended, stop } = observe(channel, '/lights/hall')
    await until(() => seen.length === 1)
    await worker.put('hall', 'dim')
    await until(() => seen.at(-1) === 'dim')
    stop()
    await ended
    expect(seen).toEqual(['on', 'dim'])
  })

  test('gets 404 without subscribers, and reads retained messages', async () => {
    const channel = await connect(broker.url)
    expect((await channel.send(request('PUT', '/plain/one', 'x'))).status).toBe(404)
    expect((await channel.send(request('PUT', '/plain/one', 'kept', { 'mqtt.Retain': true }))).status).toBe(204)
    expect(await (await channel.send(request('GET', '/plain/one'))).text()).toBe('kept')
    expect((await channel.send(request('DELETE', '/plain/one'))).status).toBe(204)
    expect((await channel.send(request('GET', '/plain/one'))).status).toBe(404)
  })

  test.each([4, 5] as const)('publishes and observes plain topics, with protocol version %i', async protocolVersion => {
    const channel = await connect(broker.url, { protocolVersion, answer: 'acknowledgement' })
    const { seen, ended, stop } = observe(channel, `/plain/v${protocolVersion}/+`)
    await until(async () => {
      await channel.send(request('PUT', `/plain/v${protocolVersion}/a`, 'probe'))
      return seen.length > 0
    })
    expect((await channel.send(request('PUT', `/plain/v${protocolVersion}/b`, { on: true }))).status).toBe(204)
    await until(() => seen.at(-1) === '{"on":true}')
    if (protocolVersion === 4) {
      await expect(channel.send(request('POST', '/plain/x', 'x'))).rejects.toMatchObject({ status: 501 })
      await other.publishAsync('plain/kept', 'value', { retain: true, qos: 1 })
      expect(await (await channel.send(request('GET', '/plain/kept'))).text()).toBe('value')
    }
    stop()
    await ended
  })

  test('continues to observe after the broker was away, and rejects meanwhile', async () => {
    const channel = await connect(broker.url, { answer: 'acknowledgement' })
    const { seen, ended, stop } = observe(channel, '/steady/topic')
    await until(async () => {
      await other.publishAsync('steady/topic', 'before', { qos: 1 })
      return seen.length > 0
    })
    await broker.stop()
    await expect(channel.send(request('PUT', '/steady/topic', 'meanwhile'))).rejects.toMatchObject({ status: 502, code: 'connect-failed' })
    await broker.start()
    await until(async () => {
      await channel.send(request('PUT', '/steady/topic', 'after'))
      return seen.at(-1) === 'after'
    })
    stop()
    await ended
  })

  test('keeps the newest messages for an observer that does not keep up', async () => {
    const channel = await connect(broker.url, { limits: { queueMessages: 5 }, answer: 'acknowledgement' })
    const iterator = channel.observe({ 'iopa.Path': '/fast' })[Symbol.asyncIterator]()
    const first = iterator.next()
    await until(async () => {
      await other.publishAsync('fast', 'probe', { qos: 1 })
      return Promise.race([first.then(() => true), new Promise<false>(resolve => setImmediate(() => resolve(false)))])
    })
    for (let n = 0; n < 50; n++) await other.publishAsync('fast', String(n), { qos: 1 })
    await new Promise(resolve => setTimeout(resolve, 50))
    const rest: string[] = []
    for (let n = 0; n < 5; n++) rest.push(await ((await iterator.next()).value as LinkAnswer).text())
    expect(rest).toEqual(['45', '46', '47', '48', '49'])
    await iterator.return?.()
  })
})
