import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'
import { connectAsync, type IClientPublishOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { HouseOptions } from './fixtures/house.ts'
import { type House, house } from './fixtures/house.ts'
import { describeWith, mosquitto, type Peer, until } from './fixtures/peers.ts'

let broker: Peer
let device: MqttClient
let heard: { topic: string; payload: string; packet: IPublishPacket }[]
let prefix = ''
let tests = 0
const houses: House[] = []

const open = async (options: Partial<HouseOptions> = {}): Promise<House> => {
  const opened = await house({ broker: broker.url, statePrefix: prefix, retry: { initial: 10, maximum: 40 }, reconnect: { initial: 50 }, ...options })
  houses.push(opened)
  return opened
}

const send = (topic: string, payload: string, options: IClientPublishOptions = {}): Promise<unknown> =>
  device.publishAsync(topic, payload, { qos: 1, ...options })
const states = (): string[] => heard.filter(({ topic }) => topic.startsWith(`${prefix}/`)).map(({ payload }) => payload)
const pause = (milliseconds: number): Promise<void> => new Promise(resolve => setTimeout(resolve, milliseconds))

/** Asks with a Response Topic, and gives the response. */
const ask = async (
  topic: string,
  payload: string,
  userProperties?: Record<string, string>,
  responseTopic = 'answers/me'
): Promise<IPublishPacket> => {
  await device.subscribeAsync(responseTopic, { qos: 1 })
  const correlationData = Buffer.from(`${Math.random()}`)
  await send(topic, payload, { properties: { responseTopic, correlationData, ...(userProperties && { userProperties }) } })
  return until(() => heard.find(({ packet }) => packet.properties?.correlationData?.equals(correlationData))?.packet)
}

describeWith(['mosquitto'], 'a worker on mosquitto', () => {
  beforeAll(async () => {
    broker = await mosquitto()
  })
  afterAll(() => broker?.dispose())
  beforeEach(async () => {
    prefix = `state-${++tests}`
    device = await connectAsync(broker.url, { protocolVersion: 5 })
    heard = []
    device.on('message', (topic, payload, packet) => heard.push({ topic, payload: payload.toString(), packet }))
    await device.subscribeAsync(`${prefix}/#`, { qos: 1 })
  })
  afterEach(async () => {
    for (const opened of houses.splice(0)) {
      await opened.close(300)
      expect(opened.app.live, 'live contexts').toBe(0)
    }
    await device.endAsync(true)
  })

  test.each([5, 4] as const)('handles a command as a PUT and publishes the new state, retained (protocol version %i)', async protocolVersion => {
    const worker = await open({ protocolVersion })
    await send('lights/hall', 'on')
    await until(() => heard.length > 0)
    expect(worker.seen).toMatchObject([{ method: 'PUT', path: '/lights/hall', body: 'on', replica: false }])
    expect(heard.map(({ topic, payload }) => [topic, payload])).toEqual([[`${prefix}/lights/hall`, 'on']])
    const late = await open({ protocolVersion: 5 })
    await until(() => late.lights.get('hall') === 'on')
    expect(late.seen).toMatchObject([{ method: 'PUT', path: '/lights/hall', body: 'on', replica: true }])
  })

  test('takes the method from the user property, and a retained message without payload for a DELETE', async () => {
    const worker = await open()
    await send('lights/hall', 'on')
    await until(() => states().length === 1)
    await send('lights/hall', '', { retain: true })
    await until(() => states().length === 2)
    expect(states()).toEqual(['on', ''])
    expect(worker.lights.has('hall')).toBe(false)
    await send('jobs', 'sweep', { properties: { userProperties: { Method: 'post' } } })
    await until(() => worker.seen.length === 3)
    expect(worker.seen.map(({ method }) => method)).toEqual(['PUT', 'DELETE', 'POST'])
  })

  test('answers to the Response Topic with status, headers and body', async () => {
    const worker = await open()
    worker.lights.set('hall', 'on')
    const found = await ask('lights/hall', '')
    expect(found.payload.toString()).toBe('on')
    expect(found.properties?.userProperties).toMatchObject({ status: '200' })
    expect(found.properties?.contentType).toMatch(/^text\/plain/)
    expect(found.retain).toBe(false)
    const missing = await ask('lights/attic', '')
    expect(missing.properties?.userProperties).toMatchObject({ status: '404' })
    expect(JSON.parse(missing.payload.toString())).toMatchObject({ status: 404, detail: 'There is no such light.' })
    const done = await ask('jobs', 'sweep', { method: 'POST' })
    expect(JSON.parse(done.payload.toString())).toEqual({ done: 'sweep' })
    const refused = await ask('lights/hall', 'x', { method: 'CONNECT' })
    expect(refused.properties?.userProperties).toMatchObject({ status: '400' })
    expect(refused.properties?.contentType).toBe('application/problem+json')
  })

  test('never answers to a topic of state, commands or dead letters', async () => {
    const worker = await open()
    await device.subscribeAsync(['dead/#', 'lights/#'], { qos: 1 })
    for (const responseTopic of [`${prefix}/lights/hall`, 'lights/porch', 'dead/lights/hall']) {
      await send('lights/hall', 'x', { properties: { responseTopic, correlationData: Buffer.from('1') } })
    }
    await until(() => worker.seen.length === 3)
    await send('lights/end', 'x')
    await until(() => worker.seen.length === 4)
    expect(heard.filter(({ packet }) => packet.properties?.correlationData && !packet.properties.responseTopic)).toEqual([])
    expect([...worker.lights.keys()]).toEqual(['hall', 'end'])
  })

  test('sends commands that can never succeed to the dead-letter topic with the reason, and continues', async () => {
    const worker = await open()
    await device.subscribeAsync('dead/#', { qos: 1 })
    await send('lights/hall', 'bad', { properties: { contentType: 'text/plain', userProperties: { trace: '7' } } })
    const { packet, topic, payload } = await until(() => heard.find(({ topic }) => topic.startsWith('dead/')))
    expect([topic, payload]).toEqual(['dead/lights/hall', 'bad'])
    expect(packet.properties?.contentType).toBe('text/plain')
    expect(packet.properties?.userProperties).toMatchObject({
      status: '422',
      reason: 'A light is not bad.',
      attempts: '1',
      'original-topic': 'lights/hall',
      trace: '7'
    })
    await send('lights/hall', 'on')
    await until(() => worker.lights.get('hall') === 'on')
    expect(worker.seen).toHaveLength(2)
  })

  test('retries commands that may succeed later, up to a limit, and holds those without room', async () => {
    const worker = await open({ retry: { attempts: 3, initial: 5, maximum: 20 } })
    await device.subscribeAsync('dead/#', { qos: 1 })
    const left = new Map([
      ['/lights/twice', 2],
      ['/lights/never', 99]
    ])
    let busy = true
    worker.hook = ({ path }) => {
      const failures = left.get(path) ?? 0
      left.set(path, failures - 1)
      if (failures > 0) throw new Error('no luck')
      if (path === '/lights/busy' && busy) throw Object.assign(new Error('busy'), { name: 'IopaError', status: 503, code: 'busy', detail: 'Busy.' })
    }
    await send('lights/never', 'on')
    await send('lights/twice', 'on')
    await send('lights/busy', 'on')
    await until(() => worker.lights.has('twice'))
    await until(() => heard.find(({ topic }) => topic === 'dead/lights/never'))
    const attempts = (path: string): number => worker.seen.filter(seen => seen.path === path && !seen.replica).length
    expect(attempts('/lights/twice')).toBe(3)
    expect(attempts('/lights/never')).toBe(3)
    await until(() => attempts('/lights/busy') > 6)
    expect(worker.lights.has('busy')).toBe(false)
    busy = false
    await until(() => worker.lights.has('busy'))
    expect(heard.filter(({ topic }) => topic.startsWith('dead/'))).toHaveLength(1)
  })

  test('works on no more than its window, on different topics at once and on one in order', async () => {
    const worker = await open({ window: 4 })
    let running = 0
    let most = 0
    worker.hook = async context => {
      if (context['server.IsReplica']) return
      most = Math.max(most, ++running)
      await pause(5)
      running--
    }
    const sent = Array.from({ length: 60 }, (_, n) => [`lights/${n % 6}`, String(n)] as const)
    await Promise.all(sent.map(([topic, payload]) => send(topic, payload)))
    await until(() => worker.seen.filter(({ replica }) => !replica).length === 60)
    expect(most).toBe(4)
    for (let light = 0; light < 6; light++) {
      const order = worker.seen.filter(({ path, replica }) => path === `/lights/${light}` && !replica).map(({ body }) => Number(body))
      expect(order).toEqual([...order].sort((a, b) => a - b))
    }
  })

  test('lets a handler publish with QoS 1 and wait for the acknowledgement', async () => {
    const worker = await open()
    await device.subscribeAsync('log/#', { qos: 1 })
    worker.hook = () => worker.bridge.publish('log/change', 'changed', { qos: 1 })
    await send('lights/hall', 'on')
    await until(() => heard.some(({ topic }) => topic === 'log/change'))
    await until(() => worker.lights.get('hall') === 'on')
  })

  test('keeps its connection while a handler takes longer than the keep alive', async () => {
    const worker = await open({ keepAlive: 1 })
    worker.hook = () => pause(2600)
    await send('lights/hall', 'on')
    await until(() => worker.lights.get('hall') === 'on', 4000)
    await pause(100)
    expect(worker.seen.filter(({ replica }) => !replica)).toHaveLength(1)
  })

  test('acknowledges only after the work: commands of a lost worker are delivered again', async () => {
    const first = await open({ clientId: 'worker-a' })
    let started = 0
    let release = (): void => {}
    first.hook = () => {
      started++
      return new Promise<void>(resolve => {
        release = resolve
      })
    }
    await send('lights/hall', 'on')
    await until(() => started === 1)
    const closing = first.close(50)
    await closing
    release()
    const second = await open({ clientId: 'worker-a' })
    await until(() => second.lights.get('hall') === 'on')
    expect(second.seen.filter(({ replica }) => !replica)).toHaveLength(1)
  })

  test('continues after the broker was away, with messages published meanwhile and without repeating running ones', async () => {
    const own = await mosquitto()
    try {
      const worker = await open({ broker: own.url, clientId: 'steady' })
      const before = await connectAsync(own.url, { protocolVersion: 5, reconnectPeriod: 0 })
      let release = (): void => {}
      worker.hook = ({ path }) =>
        path === '/lights/slow' &&
        new Promise<void>(resolve => {
          release = resolve
        })
      await before.publishAsync('lights/slow', 'on', { qos: 1 })
      await until(() => worker.seen.length === 1)
      await own.stop('SIGTERM')
      await worker.put('offline', 'changed')
      await own.start()
      const client = await connectAsync(own.url, { protocolVersion: 5 })
      await client.publishAsync('lights/hall', 'on', { qos: 1 })
      await until(() => worker.lights.get('hall') === 'on')
      release()
      await until(() => worker.lights.get('slow') === 'on')
      const found: string[] = []
      client.on('message', topic => found.push(topic))
      await client.subscribeAsync(`${prefix}/#`, { qos: 1 })
      await until(() => found.includes(`${prefix}/lights/offline`) && found.includes(`${prefix}/lights/slow`))
      expect(worker.seen.filter(({ path, replica }) => path === '/lights/slow' && !replica)).toHaveLength(1)
      await client.endAsync(true)
      await worker.close(200)
    } finally {
      await own.dispose()
    }
  })

  test('settles every publish that is under way when it closes', async () => {
    const worker = await open()
    const published = Promise.allSettled(Array.from({ length: 300 }, (_, n) => worker.bridge.publish(`log/${n}`, 'x', { qos: 1 })))
    await worker.put('hall', 'on')
    await worker.close(0)
    const results = await published
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'closed' })
    await expect(worker.bridge.publish('log/late', 'x', { qos: 1 })).rejects.toMatchObject({ code: 'closed' })
  })

  test('does not do old retained commands again', async () => {
    await send('lights/hall', 'old', { retain: true })
    for (const protocolVersion of [5, 4] as const) {
      const worker = await open({ protocolVersion })
      await send('lights/porch', 'new')
      await until(() => worker.lights.has('porch'))
      expect(worker.lights.has('hall')).toBe(false)
    }
    await send('lights/hall', '', { retain: true })
  })

  test('leaves topics without a route to others', async () => {
    const worker = await open({ topics: ['#'] })
    for (const topic of ['other/thing', 'lights//hall', 'lights/../x', '/lights/hall']) await send(topic, 'x')
    await send('lights/hall', 'on')
    await until(() => worker.lights.has('hall'))
    expect(worker.seen.filter(({ replica }) => !replica)).toHaveLength(1)
  })

  test('hands a message over once although two of its filters match', async () => {
    const worker = await open({ topics: ['lights/+', '+/hall'] })
    await send('lights/hall', 'one')
    await send('lights/porch', 'two')
    await until(() => worker.lights.has('porch'))
    expect(worker.seen.filter(({ replica }) => !replica).map(({ body }) => body)).toEqual(['one', 'two'])
  })

  test('rejects in listen() when the broker cannot be reached, and when there is nothing to subscribe to', async () => {
    await expect(open({ broker: 'mqtt://127.0.0.1:1' })).rejects.toMatchObject({ status: 502, code: 'connect-failed' })
    await expect(open({ broker: 'http://127.0.0.1:1' })).rejects.toMatchObject({ code: 'bad-option' })
    await expect(open({ share: 'a/b' })).rejects.toMatchObject({ code: 'bad-option' })
    await expect(open({ topics: ['a#'] })).rejects.toMatchObject({ code: 'bad-option' })
  })

  test('rejects in listen() when the broker refuses a subscription', async () => {
    const aedes = await Aedes.createBroker({ authorizeSubscribe: (_client, _subscription, done) => done(null, null) })
    const server = createServer(aedes.handle).listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const { port } = server.address() as AddressInfo
      await expect(open({ broker: `mqtt://127.0.0.1:${port}` })).rejects.toMatchObject({ status: 403, code: 'subscription-refused' })
    } finally {
      await new Promise<void>(resolve => aedes.close(resolve))
      server.close()
    }
  })
})
