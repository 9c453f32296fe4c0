import { virtualClock } from '@iopa/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { Flusher } from '../../../src/broker/connection/send-buffer.ts'
import { Turns } from '../../../src/broker/operation/turns.ts'
import { FanOuts } from '../../../src/broker/topics/fan-outs.ts'
import { closeLabs, lab, type TestClient } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('a message for many', () => {
  test('is delivered in slices, after the one before to its topic, and lets others begin after that', async () => {
    const clock = virtualClock()
    let relieved = 0
    const fanOuts = new FanOuts(new Turns(clock, new Flusher()), { authorizing: false, overwhelmed: false, forwarding: false }, () => relieved++)
    const given: string[] = []
    const add = (topic: string, name: string, length: number): boolean =>
      fanOuts.add(
        topic,
        length,
        10,
        index => given.push(`${name}${index}`),
        () => given.push(`${name} done`)
      )
    expect(add('a', 'first', 5000)).toBe(false)
    expect(given.length).toBeLessThan(2000)
    expect(fanOuts.bytes).toBe((5000 - given.length) * 10)
    expect([fanOuts.busy, fanOuts.has('a'), fanOuts.has('b')]).toEqual([true, true, false])
    expect(add('a', 'second', 3)).toBe(false)
    await clock.advance(100)
    const first = Array.from({ length: 5000 }, (_, index) => `first${index}`)
    expect(given).toEqual([...first, 'first done', 'second0', 'second1', 'second2', 'second done'])
    expect([fanOuts.busy, fanOuts.has('a'), fanOuts.bytes, relieved]).toEqual([false, false, 0, 1])
  })

  test.each([4, 5] as const)('comes to each once and in order, and its sender waits (MQTT version %i)', async version => {
    const net = await lab(() => undefined)
    const clients: TestClient[] = []
    for (let index = 0; index < 70; index++) {
      const client = await net.client({ version })
      await client.subscribe(index % 2 === 0 ? 'a' : '#', { qos: 1 })
      clients.push(client)
    }
    const publisher = await net.client({ version })
    const other = await net.client({ version })
    for (let messageId = 1; messageId <= 40; messageId++) publisher.publish('a', String(messageId), { qos: 1, messageId })
    other.publish('b', 'aside', { qos: 1, messageId: 1 })
    await net.rest(2000)
    const expected = Array.from({ length: 40 }, (_, index) => `a ${index + 1}`)
    for (const [index, client] of clients.entries()) {
      const messages = await client.messages()
      expect(messages.filter(message => message.startsWith('a '))).toEqual(expected)
      expect(messages.includes('b aside')).toBe(index % 2 === 1)
    }
    const acknowledgements = publisher.packets.filter(({ cmd }) => cmd === 'puback')
    expect(acknowledgements.map(({ messageId }) => messageId)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1))
  })
})

describe('a client with few messages', () => {
  test('does not wait for those with much', async () => {
    let working = 0
    const net = await lab(
      app =>
        app.use((context, next) => {
          if (context.method === 'CONNECT') context.user = { id: String(context['mqtt.ClientId']) }
          if (!context.path.startsWith('/work/')) return next()
          working++
          return new Promise<void>(resolve => void net.clock.setTimeout(resolve, 500)).then(() => {
            working--
          })
        }),
      { limits: { inFlight: 64 } }
    )
    for (let index = 0; index < 50; index++) {
      const client = await net.client({ clientId: `busy${index}` })
      for (let messageId = 1; messageId <= 40; messageId++) client.publish(`work/${index}/${messageId}`, 'x', { qos: 1, messageId })
    }
    const listener = await net.client({ clientId: 'listener' })
    await listener.subscribe('aside')
    await net.clock.advance(1200)
    expect(working).toBeGreaterThanOrEqual(48)
    const talker = await net.client({ clientId: 'talker' })
    talker.publish('aside', 'heard')
    await net.clock.advance(40)
    expect(await listener.messages()).toEqual(['aside heard'])
  })
})
