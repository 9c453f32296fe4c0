import { type App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

interface House {
  lights: Record<string, unknown>
  gets: number
  status?: number
}

function house(state: House) {
  return (app: App): void => {
    const routed = app.use(router())
    routed.get('/lights', () => Object.keys(state.lights))
    routed.get('/lights/:id', ({ params }) => {
      state.gets++
      if (state.status) throw new IopaError(state.status, 'not-now')
      if (!(params.id in state.lights)) throw new IopaError(404, 'no-light')
      return state.lights[params.id]
    })
    routed.put('/lights/:id', async context => {
      state.lights[context.params.id] = await context.text()
      context.notify('/lights')
    })
    routed.delete('/lights/:id', ({ params }) => {
      delete state.lights[params.id]
    })
    routed.post('/commands', () => undefined)
  }
}

const fresh = (): House => ({ lights: { hall: 'off' }, gets: 0 })

describe('a change that another protocol made', () => {
  test('reaches those who subscribed to its topic, and to filters', async () => {
    const state = fresh()
    const net = await lab(house(state))
    const exact = await net.client()
    await exact.subscribe('lights/hall', { rh: 2 })
    const wild = await net.client({ version: 4 })
    await wild.subscribe('#', { rh: 2 })
    await wild.messages()
    const shared = await net.client()
    await shared.subscribe('$share/g/lights/+')
    await net.app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': 'on' })
    expect(await exact.messages()).toEqual(['lights/hall on'])
    expect((await wild.messages()).sort()).toEqual(['lights ["hall"]', 'lights/hall on'])
    expect(await shared.messages()).toEqual(['lights/hall on'])
  })

  test('named by notify reaches them too', async () => {
    const state = fresh()
    const net = await lab(house(state))
    const client = await net.client()
    await client.subscribe('lights/+', { rh: 2 })
    state.lights['hall'] = 'changed'
    net.app.notify('/lights/hall')
    expect(await client.messages()).toEqual(['lights/hall changed'])
  })

  test('that took the state away is an empty payload, and the subscription stays', async () => {
    const state = fresh()
    const net = await lab(house(state))
    const exact = await net.client()
    await exact.subscribe('lights/hall', { rh: 2 })
    const wild = await net.client()
    await wild.subscribe('lights/+', { rh: 2 })
    await net.app.invoke({ 'iopa.Method': 'DELETE', 'iopa.Path': '/lights/hall' })
    for (const client of [exact, wild]) expect(await client.messages()).toEqual(['lights/hall '])
    await net.app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': 'back' })
    await net.app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': 'again' })
    for (const client of [exact, wild]) expect((await client.messages()).at(-1)).toBe('lights/hall again')
  })

  test('whose GET fails sends nothing, and the subscription stays', async () => {
    const state = fresh()
    const net = await lab(house(state))
    const exact = await net.client()
    await exact.subscribe('lights/hall', { rh: 2 })
    const wild = await net.client()
    await wild.subscribe('lights/+', { rh: 2 })
    net.app.notify('/lights/hall')
    for (const client of [exact, wild]) expect(await client.messages()).toEqual(['lights/hall off'])
    for (state.status of [500, 503, 409]) {
      net.app.notify('/lights/hall')
      for (const client of [exact, wild]) expect(await client.messages(), String(state.status)).toEqual([])
    }
    delete state.status
    net.app.notify('/lights/hall')
    for (const client of [exact, wild]) expect(await client.messages()).toEqual(['lights/hall off'])
  })

  test('of a path without a GET route sends nothing', async () => {
    const net = await lab(house(fresh()))
    const client = await net.client()
    await client.subscribe(['commands', 'nothing', '#'], { rh: 2 })
    await net.app.invoke({ 'iopa.Method': 'POST', 'iopa.Path': '/commands' })
    net.app.notify('/nothing')
    net.app.notify('/a+b')
    net.app.notify('/')
    expect(await client.messages()).toEqual([])
  })

  test('runs one GET for all anonymous subscribers of its topic', async () => {
    const state = fresh()
    const net = await lab(house(state))
    const clients = []
    for (let index = 0; index < 20; index++) {
      const client = await net.client()
      await client.subscribe('lights/hall', { rh: 2 })
      clients.push(client)
    }
    state.gets = 0
    net.app.notify('/lights/hall')
    for (const client of clients) expect(await client.messages()).toEqual(['lights/hall off'])
    expect(state.gets).toBe(1)
  })

  test('reads for a filter as the user of the session', async () => {
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.method === 'CONNECT') context.user = { id: String(context['mqtt.ClientId']) }
        return next()
      })
      app.use(router()).get('/mine', context => `of ${context.user?.id}`)
    })
    const ann = await net.client({ clientId: 'ann' })
    const bob = await net.client({ clientId: 'bob' })
    await ann.subscribe('mine', { rh: 2 })
    await bob.subscribe('+', { rh: 2 })
    net.app.notify('/mine')
    expect(await ann.messages()).toEqual(['mine of ann'])
    expect(await bob.messages()).toEqual(['mine of bob'])
  })
})

describe('a state', () => {
  test.each([0, 1] as const)('reaches a slow client as its newest representation, those in between are skipped, with QoS %i', async qos => {
    const state = fresh()
    const net = await lab(house(state))
    const client = await net.client()
    await client.subscribe('lights/+', { qos, rh: 2 })
    client.acknowledges = false
    client.pause()
    const padding = 'x'.repeat(200_000)
    for (let index = 0; index < 50; index++) {
      state.lights['hall'] = `${index} ${padding}`
      net.app.notify('/lights/hall')
      await net.rest()
    }
    client.acknowledges = true
    client.resume()
    await net.rest(5000)
    const versions = (await client.messages()).map(message => message.split(' ')[1])
    expect(versions.at(-1)).toBe('49')
    expect(versions.length).toBeLessThan(20)
  })

  test('waits for a client that is away, once and newest', async () => {
    const state = fresh()
    const net = await lab(house(state))
    const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }
    for (const filter of ['lights/hall', 'lights/+']) {
      const first = await net.client(form)
      await first.subscribe(filter, { qos: 1, rh: 2 })
      await first.vanish()
      for (const value of ['1', '2', '3']) {
        state.lights['hall'] = value
        net.app.notify('/lights/hall')
        await net.rest()
      }
      const second = await net.client(form)
      expect(await second.messages(), filter).toEqual(['lights/hall 3'])
      second.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: [filter] })
      await second.next('unsuback')
      await second.vanish()
    }
  })

  test('is not read for a session that has gone', async () => {
    const state = fresh()
    const net = await lab(house(state))
    const client = await net.client()
    await client.subscribe(['lights/hall', 'lights/+'], { rh: 2 })
    await client.leave()
    state.gets = 0
    net.app.notify('/lights/hall')
    await net.rest()
    expect(state.gets).toBe(0)
  })
})

describe('a filter', () => {
  test('misses no change that comes while a state is read', async () => {
    let state = 0
    let reads = 0
    const net = await lab(app =>
      app.use(router()).get('/slow', async () => {
        const read = state
        reads++
        await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 50))
        return String(read)
      })
    )
    const client = await net.client()
    await client.subscribe('+', { rh: 2 })
    for (state = 1; state < 10; state++) {
      net.app.notify('/slow')
      await net.rest(10)
    }
    state = 10
    net.app.notify('/slow')
    await net.rest(500)
    const heard = await client.messages()
    expect(heard.at(-1)).toBe('slow 10')
    expect(reads).toBeLessThan(8)
  })
})

describe('the app itself', () => {
  test('publishes to topics that are no state', async () => {
    const net = await lab(house(fresh()))
    const client = await net.client()
    await client.subscribe(['news/#', 'commands'], { qos: 1 })
    await net.transport.publish('news/1', 'hello', { qos: 1, retain: true, contentType: 'text/plain', userProperties: { a: ['1', '2'] } })
    expect(await client.next('publish')).toMatchObject({
      topic: 'news/1',
      qos: 1,
      properties: { contentType: 'text/plain', userProperties: { a: ['1', '2'] } }
    })
    await net.transport.publish('commands', new Uint8Array([104, 105]))
    expect(await client.messages()).toEqual(['commands hi'])
    const later = await net.client()
    await later.subscribe('news/1')
    expect(await later.messages()).toEqual(['news/1 hello'])
  })

  test('rejects for a state, with the way to change it, and for an invalid topic', async () => {
    const net = await lab(house(fresh()))
    await expect(net.transport.publish('lights/hall', 'x')).rejects.toMatchObject({ status: 409, code: 'topic-is-state' })
    await expect(net.transport.publish('a/+', 'x')).rejects.toMatchObject({ status: 400 })
    await expect(net.transport.publish('$SYS/x', 'x')).rejects.toMatchObject({ status: 400 })
  })

  test('has figures under $SYS for those who ask', async () => {
    const net = await lab(undefined, { statistics: 10 })
    const client = await net.client()
    await client.subscribe('$SYS/broker/clients/connected')
    await net.rest(11_000)
    expect(await client.messages()).toEqual(['$SYS/broker/clients/connected 1'])
    await net.client()
    await net.rest(11_000)
    expect(await client.messages()).toEqual(['$SYS/broker/clients/connected 2'])
    const wild = await net.client()
    await wild.subscribe('#')
    await net.rest(11_000)
    expect(await wild.messages()).toEqual([])
    expect(await client.put('$SYS/broker/clients/connected', '1000')).toMatchObject({ reasonCode: 0x87 })
  })
})

describe('a change of a path that middleware rewrites', () => {
  /** Middleware removes the version prefix of the path, and restores it before observers are notified. */
  const versioned = (get: boolean) => (app: App) => {
    const routed = app
      .use(async (context, next) => {
        const { path } = context
        if (path.startsWith('/v1/')) context.path = path.slice(3)
        try {
          return await next()
        } finally {
          context.path = path
        }
      })
      .use(router())
    let value = 'off'
    if (get) routed.get('/x', () => value)
    routed.put('/x', async context => {
      value = await context.text()
    })
  }

  test.each(['mqtt', 'another protocol'])('made over %s reaches the subscribers of both names, each time', async maker => {
    const net = await lab(versioned(true))
    const publisher = await net.client()
    const watchers = await Promise.all(
      ['v1/#', 'v1/x', 'x', '+'].map(async filter => {
        const client = await net.client()
        await client.subscribe(filter, { rh: 2 })
        await client.messages()
        return client
      })
    )
    for (const value of ['on', 'dim']) {
      if (maker === 'mqtt') await publisher.put('v1/x', value)
      else await net.app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/v1/x', 'iopa.Body': value })
      const heard = await Promise.all(watchers.map(watcher => watcher.messages()))
      expect(heard, value).toEqual([[`v1/x ${value}`], [`v1/x ${value}`], [`x ${value}`], [`x ${value}`]])
    }
  })

  test('without a GET route is its payload, once', async () => {
    const net = await lab(versioned(false))
    const publisher = await net.client()
    const client = await net.client()
    await client.subscribe('#')
    await publisher.put('v1/x', 'on')
    expect(await client.messages()).toEqual(['v1/x on'])
  })
})
