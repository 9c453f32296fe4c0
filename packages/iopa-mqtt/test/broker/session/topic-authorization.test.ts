import { type App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
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

  test('is authorized on its concrete path, as the receiving session', async () => {
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

  test('is authorized for initial retained messages and states too', async () => {
    const net = await lab(acl)
    await (await net.client({ clientId: 'ann' })).put('private/ann/x', 'kept', { retain: true })
    net.app.notify('/private/ann/state')
    const ann = await net.client({ clientId: 'ann' })
    const bob = await net.client({ clientId: 'bob' })
    for (const client of [ann, bob]) await client.subscribe('private/#')
    expect((await ann.messages()).sort()).toEqual(['private/ann/state state of ann', 'private/ann/x kept'])
    expect(await bob.messages()).toEqual([])
  })

  test('runs one check for a path, until the user of the session changes', async () => {
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

  test('keeps its order while the check runs', async () => {
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

  test('waits while the check fails temporarily, and is checked again', async () => {
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

describe('the authorization of a session for a topic', () => {
  test('is remembered for the newest thousand topics and checked again for others', async () => {
    const asked: string[] = []
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'GET') asked.push(context.path)
        return next()
      })
    )
    const client = await net.client()
    await client.subscribe('a/+')
    const publisher = await net.client()
    for (let index = 0; index <= 1000; index++) publisher.publish(`a/${index}`, 'x')
    await net.rest()
    expect(asked.length).toBe(1001)
    // Another subscription makes the recipients be found anew.
    await publisher.subscribe('$share/g/b')
    for (const topic of ['a/1000', 'a/0']) publisher.publish(topic, 'y')
    await net.rest()
    expect(asked.slice(1001)).toEqual(['/a/0'])
    expect((await client.messages()).slice(1001).sort()).toEqual(['a/0 y', 'a/1000 y'])
  })

  test('makes a bounded number of messages wait', async () => {
    const net = await lab(
      app =>
        app.use(async (context, next) => {
          if (context.method === 'GET') await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
          return next()
        }),
      { limits: { queueMessages: 5 } }
    )
    const client = await net.client()
    await client.subscribe('a/+')
    const publisher = await net.client()
    for (let index = 0; index < 10; index++) publisher.publish('a/b', String(index))
    await net.rest(2000)
    expect(await client.messages()).toEqual(['a/b 0', 'a/b 1', 'a/b 2', 'a/b 3', 'a/b 4'])
  })
})
