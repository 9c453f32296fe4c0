import { type App, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLabs, lab } from './broker/lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

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

describe('SUBSCRIBE', () => {
  it('is one context for each filter, with the path of the filter', async () => {
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

  it.each([
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

  it('may be granted with a lower QoS by middleware, never with a higher one', async () => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'SUBSCRIBE') context['mqtt.Qos'] = 1
        return next()
      })
    )
    expect(await (await net.client()).subscribe('a', { qos: 2 })).toEqual([1])
    expect(await (await net.client()).subscribe('a', { qos: 0 })).toEqual([0])
  })

  it('refuses what is no filter, and goes on with the others', async () => {
    const net = await lab()
    expect(await (await net.client()).subscribe(['a#', 'b', 'a/#/b', '$share/g', 'x'.repeat(2000)])).toEqual([0x8f, 0, 0x8f, 0x8f, 0x8f])
    expect(await (await net.client({ version: 4 })).subscribe(['x'.repeat(2000), 'b'])).toEqual([0x80, 0])
  })

  it('is bounded for a session and in all', async () => {
    const net = await lab(undefined, { limits: { observersPerConnection: 3 }, maxSubscriptions: 5 })
    const first = await net.client()
    expect(await first.subscribe(['a', 'b', 'c', 'd'])).toEqual([0, 0, 0, 0x97])
    expect(await first.subscribe(['a'], { qos: 1 })).toEqual([1])
    const second = await net.client()
    expect(await second.subscribe(['a', 'b', 'c'])).toEqual([0, 0, 0x97])
  })
})

describe('a subscription without wildcards', () => {
  it('begins with what GET says, with the RETAIN flag', async () => {
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

  it('is granted where GET says 404 or 405, and waits', async () => {
    const net = await lab(lights({}))
    const client = await net.client()
    expect(await client.subscribe(['lights/attic', 'lights/hall/level', 'nothing'])).toEqual([0, 0, 0])
    expect(await client.messages()).toEqual([])
    await (await net.client()).put('lights/attic', 'x')
    expect(await client.messages()).toEqual(['lights/attic on'])
    await (await net.client()).put('lights/hall/level', '5')
    expect(await client.messages()).toEqual(['lights/hall/level 5'])
  })

  it.each([
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

  it('runs its GET as an observing request of the session', async () => {
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

  it('respects retain handling', async () => {
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

  it('loses no change that happens while its GET runs, and ends with the newest state', async () => {
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

describe('a subscription with wildcards', () => {
  it('begins with retained messages, static GET routes and what has changed since the start', async () => {
    const state: Record<string, unknown> = { hall: 'off', attic: 'off', cellar: 'off' }
    const net = await lab(lights(state))
    await (await net.client()).put('plain/1', 'kept', { retain: true })
    net.app.notify('/lights/attic')
    await net.app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall' })
    const client = await net.client()
    await client.subscribe('#')
    const first = await client.next('publish')
    expect(first).toMatchObject({ topic: 'plain/1', retain: true })
    expect((await client.messages()).sort()).toEqual(['clock noon', 'lights ["hall","attic","cellar"]', 'lights/attic off', 'lights/hall on'].sort())
    const one = await net.client()
    await one.subscribe('lights/+')
    expect((await one.messages()).sort()).toEqual(['lights/attic off', 'lights/hall on'])
  })

  it('forgets what is gone', async () => {
    const state: Record<string, unknown> = { hall: 'off' }
    const net = await lab(lights(state))
    net.app.notify('/lights/hall')
    delete state['hall']
    const client = await net.client()
    await client.subscribe('lights/+')
    expect(await client.messages()).toEqual([])
  })

  it('of a shared subscription gets nothing at its beginning', async () => {
    const net = await lab(lights({ hall: 'off' }))
    await (await net.client()).put('plain', 'kept', { retain: true })
    const client = await net.client()
    await client.subscribe(['$share/g/#', '$share/g/plain', '$share/g/lights'])
    expect(await client.messages()).toEqual([])
  })

  it('takes many retained messages at the pace of its client', async () => {
    const net = await lab()
    const publisher = await net.client()
    for (let index = 0; index < 3000; index++) publisher.publish(`many/${index}`, 'x'.repeat(500), { retain: true })
    await net.rest(500)
    const client = await net.client()
    client.pause()
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'many/+', qos: 0 }] })
    await net.rest(2000)
    client.resume()
    await net.rest(2000)
    expect((await client.messages()).length).toBe(3000)
  })
})

describe('every delivery', () => {
  const acl = (app: App): void => {
    app.use((context, next) => {
      const { path, method } = context
      if (method === 'CONNECT') context.user = { id: String(context['mqtt.ClientId']) }
      if (
        method !== 'CONNECT' &&
        path.startsWith('/private/') &&
        !path.startsWith(`/private/${context.user?.id}/`) &&
        !path.includes('+') &&
        !path.includes('#')
      )
        throw new IopaError(403, 'forbidden')
      return next()
    })
    const routed = app.use(router())
    routed.get('/private/:who/state', ({ params }) => `state of ${params.who}`)
    routed.put('/private/:who/state', () => undefined)
  }

  it('is authorised on its concrete path, as the session that receives', async () => {
    const net = await lab(acl)
    const ann = await net.client({ clientId: 'ann' })
    const bob = await net.client({ clientId: 'bob' })
    for (const client of [ann, bob]) expect(await client.subscribe(['private/#', 'public/#'], { qos: 1 })).toEqual([1, 1])
    await ann.messages()
    await bob.messages()
    await ann.put('private/ann/x', '1')
    await ann.put('private/ann/state', '2')
    await bob.put('private/bob/x', '3')
    await bob.put('public/x', '4')
    expect(await ann.messages()).toEqual(['private/ann/x 1', 'private/ann/state state of ann', 'public/x 4'])
    expect(await bob.messages()).toEqual(['private/bob/x 3', 'public/x 4'])
  })

  it('is authorised for retained messages and states at the beginning too', async () => {
    const net = await lab(acl)
    await (await net.client({ clientId: 'ann' })).put('private/ann/x', 'kept', { retain: true })
    net.app.notify('/private/ann/state')
    const ann = await net.client({ clientId: 'ann' })
    const bob = await net.client({ clientId: 'bob' })
    for (const client of [ann, bob]) await client.subscribe('private/#')
    expect((await ann.messages()).sort()).toEqual(['private/ann/state state of ann', 'private/ann/x kept'])
    expect(await bob.messages()).toEqual([])
  })

  it('asks once for a path, until the user of the session changes', async () => {
    let asked = 0
    let allowed = true
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'GET') {
          asked++
          if (!allowed) throw new IopaError(403, 'forbidden')
        }
        return next()
      })
    )
    const client = await net.client({ clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } })
    await client.subscribe('a/+', { qos: 1 })
    const publisher = await net.client()
    for (let index = 0; index < 5; index++) await publisher.put('a/b', String(index))
    expect(asked).toBe(1)
    await publisher.put('a/c', 'x')
    expect(asked).toBe(2)
    expect((await client.messages()).length).toBe(6)
    allowed = false
    await client.vanish()
    const again = await net.client({ clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } })
    await publisher.put('a/b', 'secret now')
    expect(asked).toBe(3)
    expect(await again.messages()).toEqual([])
  })

  it('keeps its order while the question is open', async () => {
    const net = await lab(app =>
      app.use(async (context, next) => {
        if (context.method === 'GET') await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 50))
        return next()
      })
    )
    const client = await net.client()
    await client.subscribe('a/+')
    const publisher = await net.client()
    for (let index = 0; index < 5; index++) publisher.publish('a/b', String(index))
    await net.rest(20)
    expect(client.packets).toEqual([])
    await net.rest(100)
    publisher.publish('a/b', '5')
    expect(await client.messages()).toEqual(['a/b 0', 'a/b 1', 'a/b 2', 'a/b 3', 'a/b 4', 'a/b 5'])
  })

  it('waits while the question cannot be answered, and is asked again', async () => {
    let broken = true
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'GET' && broken) throw new Error('the directory is down')
        return next()
      })
    )
    const client = await net.client()
    await client.subscribe('a/+')
    const publisher = await net.client()
    await publisher.put('a/b', '1')
    broken = false
    await publisher.put('a/b', '2')
    await net.rest(2000)
    expect(await client.messages()).toEqual(['a/b 1', 'a/b 2'])
  })
})

describe('matching subscriptions', () => {
  it('of one session give one message, with the highest QoS and every identifier', async () => {
    const net = await lab()
    const client = await net.client()
    await client.subscribe('a/+', { qos: 0, identifier: 1 })
    await client.subscribe('a/#', { qos: 2, identifier: 2 })
    await client.subscribe('a/b', { qos: 1, identifier: 3 })
    await (await net.client()).put('a/b', 'x')
    const message = await client.next('publish')
    expect(message).toMatchObject({ qos: 1 })
    expect([...((message.properties?.['subscriptionIdentifier'] ?? []) as number[])].sort()).toEqual([1, 2, 3])
    expect(await client.messages()).toEqual([])
  })

  it('with no-local leave out the messages of their own client', async () => {
    const net = await lab()
    const client = await net.client()
    await client.subscribe('a', { nl: true })
    await client.subscribe('b/#', { nl: true })
    await client.subscribe('b/c')
    client.publish('a', 'mine')
    client.publish('b/c', 'mine')
    ;(await net.client()).publish('a', 'theirs')
    expect(await client.messages()).toEqual(['b/c mine', 'a theirs'])
  })

  it('with no-local leave out the states that their own client changed', async () => {
    const state: Record<string, unknown> = { hall: 'off' }
    const net = await lab(lights(state))
    const client = await net.client()
    await client.subscribe(['lights/hall', 'lights/+'], { nl: true, rh: 2 })
    await client.put('lights/hall', 'x')
    expect(await client.messages()).toEqual([])
    await (await net.client()).put('lights/hall', 'x')
    expect(await client.messages()).toEqual(['lights/hall on'])
  })

  it('with retain-as-published keep the RETAIN flag', async () => {
    const net = await lab()
    const keeps = await net.client()
    await keeps.subscribe('a', { rap: true })
    const drops = await net.client()
    await drops.subscribe('a')
    ;(await net.client()).publish('a', 'x', { retain: true })
    expect(await keeps.next('publish')).toMatchObject({ retain: true })
    expect(await drops.next('publish')).toMatchObject({ retain: false })
  })

  it('of a group give each message to one of its sessions in turn', async () => {
    const net = await lab()
    const workers = [await net.client(), await net.client(), await net.client()]
    for (const worker of workers) await worker.subscribe('$share/g/jobs/+', { qos: 1 })
    const other = await net.client()
    await other.subscribe('$share/h/jobs/+')
    const publisher = await net.client()
    for (let index = 0; index < 9; index++) await publisher.put(`jobs/${index}`, 'x')
    const counts = []
    for (const worker of workers) counts.push((await worker.messages()).length)
    expect(counts).toEqual([3, 3, 3])
    expect((await other.messages()).length).toBe(9)
  })

  it('of a group leave out a session that may not have the topic', async () => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'GET' && context['mqtt.ClientId'] === 'banned') throw new IopaError(403, 'forbidden')
        return next()
      })
    )
    const banned = await net.client({ clientId: 'banned' })
    const worker = await net.client()
    for (const client of [banned, worker]) await client.subscribe('$share/g/jobs', { qos: 1 })
    const publisher = await net.client()
    for (let index = 0; index < 6; index++) await publisher.put('jobs', String(index))
    expect(await banned.messages()).toEqual([])
    // The one message is lost by which the broker learned of it.
    expect((await worker.messages()).length).toBeGreaterThanOrEqual(5)
  })

  it('of a group leave out a session that is away', async () => {
    const net = await lab()
    const here = await net.client()
    const away = await net.client({ clean: false, properties: { sessionExpiryInterval: 100 } })
    for (const worker of [here, away]) await worker.subscribe('$share/g/jobs', { qos: 1 })
    await away.vanish()
    for (let index = 0; index < 4; index++) await (await net.client()).put('jobs', 'x')
    expect((await here.messages()).length).toBe(4)
  })

  it('end with UNSUBSCRIBE', async () => {
    const seen: string[] = []
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'UNSUBSCRIBE') {
          seen.push(context.path)
          if (context.path === '/must') throw new IopaError(403, 'forbidden')
        }
        return next()
      })
    )
    const client = await net.client()
    await client.subscribe(['a', 'b/+', 'must', '$share/g/c'])
    client.send({ cmd: 'unsubscribe', messageId: 4, unsubscriptions: ['a', 'b/+', 'never', 'must', '$share/g/c', 'a#'] })
    expect(await client.next('unsuback')).toMatchObject({ messageId: 4, granted: [0, 0, 0x11, 0x87, 0, 0x8f] })
    expect(seen).toEqual(['/a', '/b/+', '/never', '/must', '/c'])
    const publisher = await net.client()
    for (const topic of ['a', 'b/1', 'must', 'c']) publisher.publish(topic, 'x')
    expect(await client.messages()).toEqual(['must x'])
    client.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a#'] })
    expect(await client.next('unsuback')).toMatchObject({ granted: [0x8f] })
  })
})
