import { IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('a client that sends contrary packets', () => {
  test('before SUBACK gets no first message of what it left', async () => {
    const net = await lab(app => {
      const routed = app.use(router())
      routed.get('/quick', () => 'x')
      routed.get('/slow', async () => {
        await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
        return 'y'
      })
    })
    const client = await net.client()
    const subscriptions = ['quick', 'slow'].map(topic => ({ topic, qos: 0 as const }))
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions })
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['quick'] })
    await client.next('suback')
    expect(await client.messages()).toEqual(['slow y'])
  })

  test('while retained messages are on their way gets no more of them', async () => {
    const net = await lab()
    const publisher = await net.client()
    for (let index = 0; index < 1000; index++) publisher.publish(`a/${index}`, 'x', { retain: true })
    await net.rest()
    const client = await net.client()
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a/+', qos: 0 }] })
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a/+'] })
    await net.rest(1000)
    const received = (await client.messages()).length
    expect(received).toBeGreaterThan(0)
    expect(received).toBeLessThan(1000)
  })

  test('and subscribes to a group twice leaves it with one UNSUBSCRIBE', async () => {
    const net = await lab()
    const first = await net.client()
    const second = await net.client()
    for (let times = 0; times < 2; times++) await first.subscribe('$share/g/a', { qos: 1 })
    await second.subscribe('$share/g/a', { qos: 1 })
    first.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['$share/g/a'] })
    await first.next('unsuback')
    const publisher = await net.client()
    for (let index = 0; index < 4; index++) await publisher.put('a', String(index))
    expect(await second.messages()).toEqual(['a 0', 'a 1', 'a 2', 'a 3'])
    expect(await first.messages()).toEqual([])
  })

  test('stays subscribed when it subscribes again before the first SUBSCRIBE is answered', async () => {
    let asked = 0
    const net = await lab(app =>
      app.use(router()).get('/state', async () => {
        if (asked++ > 0) return 'x'
        await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
        throw new IopaError(503, 'busy')
      })
    )
    const client = await net.client()
    for (const messageId of [1, 2]) client.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: 'state', qos: 0 }] })
    await net.rest(3000)
    await client.messages()
    net.app.notify('/state')
    expect(await client.messages()).toEqual(['state x'])
  })
})

describe('a session whose user changes', () => {
  test('while it is asked whether the former one may have a topic gets nothing by that answer', async () => {
    const net = await lab(app =>
      app.use(async (context, next) => {
        if (context.method === 'CONNECT') context.user = { id: context['mqtt.KeepAlive'] === 1 ? 'ann' : 'bob' }
        if (context.method === 'GET') {
          const { user } = context
          await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
          if (user?.id !== 'ann') throw new IopaError(403, 'forbidden')
        }
        return next()
      })
    )
    const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }
    const ann = await net.client({ ...form, keepalive: 1 })
    await ann.subscribe('a/+', { qos: 1 })
    const publisher = await net.client()
    publisher.publish('a/secret', '1', { qos: 1, messageId: 1 })
    await net.rest()
    await ann.vanish()
    const bob = await net.client(form)
    await net.rest(2000)
    await publisher.put('a/secret', '2')
    await net.rest(2000)
    expect(await bob.messages()).toEqual([])
  })
})
