import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore } from '../held-store.ts'
import { closeLabs, type Lab, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const four = ['1', '2', '3', '4']

describe('messages of one client to one topic arrive in their order', () => {
  test.each([
    ['without a store', false, 1],
    ['with a store', true, 1],
    ['of QoS 0', true, 0]
  ] as const)('where only the first is authorised with a delay, %s', async (_name, stored, qos) => {
    let net!: Lab
    let first = true
    net = await lab(
      app =>
        app.use((context, next) => {
          if (context.method !== 'PUT' || !first) return next()
          first = false
          return new Promise<void>(resolve => void net.clock.setTimeout(resolve, 20)).then(next)
        }),
      stored ? { store: new HeldStore() } : {}
    )
    const client = await net.client()
    await client.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    for (const payload of four) publisher.publish('a', payload, qos === 0 ? {} : { qos, messageId: Number(payload) })
    await net.rest(100)
    expect(await client.messages()).toEqual(four.map(payload => `a ${payload}`))
  })

  test('where the first waits for a decision about its delivery, with a store', async () => {
    let net!: Lab
    net = await lab(
      app =>
        app.use((context, next) => {
          if (context.method !== 'GET') return next()
          return new Promise<void>(resolve => void net.clock.setTimeout(resolve, 20)).then(next)
        }),
      { store: new HeldStore() }
    )
    const client = await net.client()
    await client.subscribe('+', { qos: 1 })
    // Something for the store to write, so that what is kept is not known at once.
    const kept = await net.client({ clientId: 'kept', clean: false, properties: { sessionExpiryInterval: 1000 } })
    await kept.subscribe('+', { qos: 1 })
    const publisher = await net.client()
    for (const payload of four) publisher.publish('a', payload, { qos: 1, messageId: Number(payload) })
    await net.rest(100)
    expect(await client.messages()).toEqual(four.map(payload => `a ${payload}`))
    expect(await kept.messages()).toEqual(four.map(payload => `a ${payload}`))
  })
})
