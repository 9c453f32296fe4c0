import { IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const persistent = (clientId = 'c', sessionExpiryInterval = 100) => ({ clientId, clean: false, properties: { sessionExpiryInterval } })

describe('a will', () => {
  const will = (properties = {}, overrides = {}) => ({
    topic: 'wills/c',
    payload: Buffer.from('gone'),
    qos: 1 as const,
    retain: false,
    properties,
    ...overrides
  })

  test('is published when the connection breaks, and deleted by DISCONNECT', async () => {
    const net = await lab()
    const observer = await net.client()
    await observer.subscribe('wills/#', { qos: 1 })
    await (await net.client({ clientId: 'c', will: will() })).vanish()
    expect(await observer.messages()).toEqual(['wills/c gone'])
    await (await net.client({ clientId: 'c', will: will() })).leave()
    expect(await observer.messages()).toEqual([])
    await (await net.client({ clientId: 'c', will: will() })).leave({ reasonCode: 4 })
    expect(await observer.messages()).toEqual(['wills/c gone'])
    const broken = await net.client({ clientId: 'c', will: will() })
    broken.sendBytes(Buffer.from([0x36, 3, 0, 1, 97]))
    await net.clock.runUntil(() => broken.closed)
    expect(await observer.messages()).toEqual(['wills/c gone'])
    const four = await net.client({ version: 4, clientId: 'c4', will: { topic: 'wills/c4', payload: Buffer.from('x'), qos: 0, retain: false } })
    await four.vanish()
    expect(await observer.messages()).toEqual(['wills/c4 x'])
  })

  test('carries its properties and is retained when asked', async () => {
    const net = await lab()
    const properties = { contentType: 'a/b', messageExpiryInterval: 30, responseTopic: 'r', userProperties: { k: 'v' } }
    await (await net.client({ will: will(properties, { retain: true }) })).vanish()
    await net.rest(10_000)
    const later = await net.client()
    await later.subscribe('wills/c')
    expect(await later.next('publish')).toMatchObject({
      retain: true,
      properties: { contentType: 'a/b', responseTopic: 'r', userProperties: { k: 'v' }, messageExpiryInterval: 20 }
    })
    await net.rest(21_000)
    const tooLate = await net.client()
    await tooLate.subscribe('wills/c')
    expect(await tooLate.messages()).toEqual([])
  })

  test('waits for its delay, and is not published when the client is back before', async () => {
    const net = await lab()
    const observer = await net.client()
    await observer.subscribe('wills/#')
    const form = { ...persistent('c', 100), will: will({ willDelayInterval: 10 }) }
    await (await net.client(form)).vanish()
    await net.rest(8000)
    expect(await observer.messages()).toEqual([])
    await (await net.client(form)).vanish()
    await net.rest(8000)
    expect(await observer.messages()).toEqual([])
    await net.rest(3000)
    expect(await observer.messages()).toEqual(['wills/c gone'])
    await net.rest(20_000)
    expect(await observer.messages()).toEqual([])
  })

  test('does not wait longer than its session lives', async () => {
    const net = await lab()
    const observer = await net.client()
    await observer.subscribe('wills/#')
    await (await net.client({ ...persistent('c', 3), will: will({ willDelayInterval: 100 }) })).vanish()
    await net.rest(4000)
    expect(await observer.messages()).toEqual(['wills/c gone'])
    await (await net.client({ ...persistent('c', 50), will: will({ willDelayInterval: 100 }) })).vanish()
    await net.client({ clientId: 'c', clean: true })
    expect(await observer.messages()).toEqual(['wills/c gone'])
  })

  test('is published when the session is taken over, unless it is delayed', async () => {
    const net = await lab()
    const observer = await net.client()
    await observer.subscribe('wills/#')
    await net.client({ ...persistent('c'), will: will() })
    await net.client({ ...persistent('c'), will: will({ willDelayInterval: 5 }) })
    expect(await observer.messages()).toEqual(['wills/c gone'])
    await net.client(persistent('c'))
    await net.rest(10_000)
    expect(await observer.messages()).toEqual([])
  })

  test('is not published because the server shuts down', async () => {
    const seen: string[] = []
    const net = await lab(app => app.use(router()).put('/wills/c', () => void seen.push('will')))
    await net.client({ will: will() })
    await net.close()
    expect(seen).toEqual([])
  })

  test('runs through the pipeline as the user of its session', async () => {
    const seen: unknown[] = []
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.method === 'CONNECT') context.user = { id: `user of ${context['mqtt.ClientId']}` }
        return next()
      })
      app
        .use(router())
        .put('/devices/:id', async context => void seen.push([context.params.id, context.user?.id, context['mqtt.IsWill'], await context.text()]))
    })
    await (await net.client({ clientId: 'd1', will: { topic: 'devices/d1', payload: Buffer.from('offline'), qos: 0, retain: false } })).vanish()
    await (
      await net.client({
        ...persistent('d2'),
        will: { topic: 'devices/d2', payload: Buffer.from('offline'), qos: 2, retain: false, properties: { willDelayInterval: 5 } }
      })
    ).vanish()
    await net.rest(6000)
    expect(seen).toEqual([
      ['d1', 'user of d1', true, 'offline'],
      ['d2', 'user of d2', true, 'offline']
    ])
  })

  test('is refused where its user may not publish', async () => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'PUT' && context.path === '/wills/c') throw new IopaError(403, 'forbidden')
        return next()
      })
    )
    const observer = await net.client()
    await observer.subscribe('wills/#')
    await (await net.client({ will: will() })).vanish()
    expect(await observer.messages()).toEqual([])
    expect(net.errors.flat().join()).toContain('403')
  })
})
