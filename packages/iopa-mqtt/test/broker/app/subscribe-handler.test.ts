import { type App, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

const subscribe = (filter: string, version: number): Buffer => {
  const body = Buffer.concat([Buffer.from(version === 5 ? [0, 1, 0] : [0, 1]), text(filter), Buffer.from([0])])
  return Buffer.concat([Buffer.from([0x82, body.length]), body])
}

const unsubscribe = (filter: string, version: number): Buffer => {
  const body = Buffer.concat([Buffer.from(version === 5 ? [0, 2, 0] : [0, 2]), text(filter)])
  return Buffer.concat([Buffer.from([0xa2, body.length]), body])
}

function lights(state: Record<string, unknown>) {
  return (app: App): void => {
    const routed = app.use(router())
    routed.get('/lights', () => Object.keys(state))
    routed.get('/clock', () => 'noon')
    routed.get('/lights/:id', ({ params }) => {
      if (!(params.id in state)) throw new IopaError(404, 'no-light')
      return state[params.id]
    })
    routed.put('/lights/:id', async ({ params, ...rest }) => {
      void rest
      state[params.id] = 'on'
    })
    routed.put('/lights/:id/level', () => undefined)
  }
}

describe('an ill-formed topic filter', () => {
  const filters = ['', 'a#', '+a', 'a/#/b', '$share/g/', '$share/+/a']

  test.each(filters)('%j closes a connection of MQTT 3.1.1', async topic => {
    const net = await lab()
    const client = await net.client({ version: 4 })
    client.lenient = true
    client.sendBytes(subscribe(topic, 4))
    await net.rest(3000)
    expect(client.closed).toBe(true)
    expect(client.packets).toEqual([])
    const other = await net.client({ version: 4 })
    other.sendBytes(unsubscribe(topic, 4))
    await net.rest(3000)
    expect(other.closed).toBe(true)
  })

  test.each(filters)('%j is 0x8F in MQTT 5', async topic => {
    const net = await lab()
    const client = await net.client()
    client.sendBytes(subscribe(topic, 5))
    expect((await client.next('suback'))['granted']).toEqual([0x8f])
    client.sendBytes(unsubscribe(topic, 5))
    expect((await client.next('unsuback'))['granted']).toEqual([0x8f])
  })
})

describe('SUBSCRIBE', () => {
  test('is one context for each filter, with the path of the filter', async () => {
    const seen: string[] = []
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'SUBSCRIBE')
          seen.push(`${context.path} ${context['mqtt.Filter']} ${context['mqtt.Qos']} ${context['mqtt.ClientId']} ${context.headers.get('x-a')}`)
        return next()
      })
    )
    const client = await net.client({ clientId: 'c' })
    client.send({
      cmd: 'subscribe',
      messageId: 3,
      subscriptions: [
        { topic: 'a/+', qos: 1 },
        { topic: '$share/g/b/#', qos: 2 }
      ],
      properties: { userProperties: { 'X-A': '1' } }
    })
    expect(await client.next('suback')).toMatchObject({ messageId: 3, granted: [1, 2] })
    expect(seen).toEqual(['/a/+ a/+ 1 c 1', '/b/# $share/g/b/# 2 c 1'])
  })

  test.each([
    [400, 0x8f],
    [401, 0x87],
    [403, 0x87],
    [404, 0x80],
    [429, 0x97],
    [500, 0x80]
  ])('refused with status %i is answered %i, in MQTT 3 with 128', async (status, code) => {
    const net = await lab(app => app.use((context, next) => (context.method === 'SUBSCRIBE' && context.path === '/no' ? reply(status) : next())))
    expect(await (await net.client()).subscribe(['yes', 'no'])).toEqual([0, code])
    expect(await (await net.client({ version: 4 })).subscribe(['yes', 'no'])).toEqual([0, 0x80])
  })

  test('may be granted with a lower QoS by middleware, never with a higher one', async () => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'SUBSCRIBE') context['mqtt.Qos'] = 1
        return next()
      })
    )
    expect(await (await net.client()).subscribe('a', { qos: 2 })).toEqual([1])
    expect(await (await net.client()).subscribe('a', { qos: 0 })).toEqual([0])
  })

  test('refuses a malformed filter and grants the others', async () => {
    const net = await lab()
    expect(await (await net.client()).subscribe(['a#', 'b', 'a/#/b', '$share/g', 'x'.repeat(2000)])).toEqual([0x8f, 0, 0x8f, 0x8f, 0x8f])
    expect(await (await net.client({ version: 4 })).subscribe(['x'.repeat(2000), 'b'])).toEqual([0x80, 0])
  })

  test('is bounded for a session and in all', async () => {
    const net = await lab(undefined, { limits: { observersPerConnection: 3 }, maxSubscriptions: 5 })
    const first = await net.client()
    expect(await first.subscribe(['a', 'b', 'c', 'd'])).toEqual([0, 0, 0, 0x97])
    expect(await first.subscribe(['a'], { qos: 1 })).toEqual([1])
    const second = await net.client()
    expect(await second.subscribe(['a', 'b', 'c'])).toEqual([0, 0, 0x97])
  })
})

describe('a subscription without wildcards', () => {
  test('begins with the answer of GET, with the RETAIN flag', async () => {
    const net = await lab(lights({ hall: { on: true } }))
    const client = await net.client()
    expect(await client.subscribe('lights/hall', { qos: 1, identifier: 7 })).toEqual([1])
    expect(await client.next('publish')).toMatchObject({
      topic: 'lights/hall',
      payload: Buffer.from('{"on":true}'),
      retain: true,
      qos: 1,
      properties: { subscriptionIdentifier: 7 }
    })
  })

  test('is granted where GET says 404 or 405, and waits', async () => {
    const net = await lab(lights({}))
    const client = await net.client()
    expect(await client.subscribe(['lights/attic', 'lights/hall/level', 'nothing'])).toEqual([0, 0, 0])
    expect(await client.messages()).toEqual([])
    await (await net.client()).put('lights/attic', 'x')
    expect(await client.messages()).toEqual(['lights/attic on'])
    await (await net.client()).put('lights/hall/level', '5')
    expect(await client.messages()).toEqual(['lights/hall/level 5'])
  })

  test.each([
    [302, 0x87],
    [401, 0x87],
    [403, 0x87],
    [429, 0x97],
    [500, 0x80],
    [503, 0x97]
  ])('is refused where GET says %i', async (status, code) => {
    let open = false
    const net = await lab(app => {
      const routed = app.use(router())
      routed.get('/secret', () => (open ? 'gold' : reply(status)))
      routed.put('/secret', () => undefined)
    })
    const client = await net.client()
    expect(await client.subscribe('secret')).toEqual([code])
    open = true
    await (await net.client()).put('secret', 'x')
    expect(await client.messages()).toEqual([])
  })

  test('runs its GET as an observing request of the session', async () => {
    let seen: unknown[] = []
    const net = await lab(app =>
      app.use(router()).get('/a', context => {
        seen = [context.observe, context['server.IsNotification'], context.user?.id, context['mqtt.ClientId'], context.remoteAddress]
        return 'x'
      })
    )
    await (await net.client({ clientId: 'c' })).subscribe('a')
    expect(seen).toEqual([true, false, undefined, 'c', '127.0.0.1'])
  })

  test('respects retain handling', async () => {
    const net = await lab(lights({ hall: 'on' }))
    await (await net.client()).put('plain', 'kept', { retain: true })
    for (const topic of ['lights/hall', 'plain', 'lights/#', '+']) {
      const client = await net.client()
      await client.subscribe(topic, { rh: 2 })
      expect(await client.messages(), topic).toEqual([])
      await client.subscribe(topic, { rh: 1 })
      expect(await client.messages(), topic).toEqual([])
      await client.subscribe(topic, { rh: 0 })
      expect((await client.messages()).length, topic).toBeGreaterThan(0)
      const fresh = await net.client()
      await fresh.subscribe(topic, { rh: 1 })
      expect((await fresh.messages()).length, topic).toBeGreaterThan(0)
    }
  })

  test('loses no change that happens while its GET runs, and ends with the newest state', async () => {
    let state = 1
    let release: () => void = () => undefined
    let wait: Promise<void> | null = null
    const net = await lab(app => {
      const routed = app.use(router())
      routed.get('/slow', async () => {
        const read = state
        if (wait) await wait
        return String(read)
      })
    })
    const client = await net.client()
    wait = new Promise(resolve => {
      release = resolve
    })
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'slow', qos: 0 }] })
    await net.rest()
    state = 2
    net.app.notify('/slow')
    wait = null
    release()
    expect(await client.next('suback')).toMatchObject({ granted: [0] })
    expect(await client.messages()).toEqual(['slow 1', 'slow 2'])
  })
})
