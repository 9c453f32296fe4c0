import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, type Lab, lab, type TestClient } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

/** An app whose handler of `work/+` takes a while; the most that were at work at a time. */
const worker = async (milliseconds: number, limits = {}): Promise<{ net: Lab; most: () => number; order: string[] }> => {
  let running = 0
  let most = 0
  const order: string[] = []
  const net: Lab = await lab(
    app => {
      app.use((context, next) => {
        if (context.method === 'CONNECT') context.user = { id: String(context['mqtt.ClientId']).split('-')[0] as string }
        return next()
      })
      app.use(router()).put('/work/:id', async context => {
        most = Math.max(most, ++running)
        order.push(String(context.user?.id))
        await new Promise<void>(resolve => void net.clock.setTimeout(resolve, milliseconds))
        running--
      })
    },
    { limits }
  )
  return { net, most: () => most, order }
}

const burst = (client: TestClient, topic: string, count: number): void => {
  for (let messageId = 1; messageId <= count; messageId++) client.publish(`${topic}/${messageId}`, 'x', { qos: 1, messageId })
}

describe('publishers at their receive maximum', () => {
  test.each([4, 5] as const)('wait and are not refused when all handlers are busy (MQTT version %i)', async version => {
    const { net, most } = await worker(50, { inFlight: 100 })
    const clients: TestClient[] = []
    for (let index = 0; index < 10; index++) clients.push(await net.client({ version, clientId: `u${index}-c` }))
    for (const client of clients) burst(client, 'work', 60)
    await net.rest(2000)
    for (const client of clients) {
      expect(client.closed).toBe(false)
      const acknowledgements = client.packets.filter(({ cmd }) => cmd === 'puback')
      expect(acknowledgements.length).toBe(60)
      expect(acknowledgements.every(({ reasonCode }) => Number(reasonCode ?? 0) < 0x80)).toBe(true)
    }
    // Three quarters, and one message of each other user in the last eighth.
    expect(most()).toBe(84)
  })

  test('wait without their deadline running', async () => {
    const { net } = await worker(800, { inFlight: 4, requestTimeout: 1000 })
    const client = await net.client({ clientId: 'u-c' })
    burst(client, 'work', 30)
    await net.rest(20_000)
    const acknowledgements = client.packets.filter(({ cmd }) => cmd === 'puback')
    expect(acknowledgements.map(({ reasonCode }) => reasonCode)).toEqual(new Array(30).fill(0))
  })

  test('have their turn by user: one with many messages does not keep another one waiting', async () => {
    const { net, order } = await worker(50, { inFlight: 4 })
    const greedy = await net.client({ clientId: 'greedy-1' })
    const more = await net.client({ clientId: 'greedy-2' })
    const modest = await net.client({ clientId: 'modest-1' })
    burst(greedy, 'work', 60)
    burst(more, 'work', 60)
    await net.rest()
    burst(modest, 'work', 2)
    await net.rest(200)
    expect(order.slice(0, 12).filter(user => user === 'modest').length).toBe(2)
  })

  test('of MQTT 5 are read on: acknowledgements and pings are handled while every handler waits for them', async () => {
    const release: (() => void)[] = []
    const net: Lab = await lab(app => void app.use(router()).put('/work/:id', () => new Promise<void>(resolve => void release.push(resolve))), {
      limits: { inFlightPerConnection: 8 }
    })
    const client = await net.client({ acknowledges: false })
    await client.subscribe('question', { qos: 1 })
    burst(client, 'work', 8)
    await net.rest()
    client.send({ cmd: 'pingreq' })
    expect(await client.next('pingresp', 1000)).toBeDefined()
    await net.transport.publish('question', '?', { qos: 1 })
    const { messageId } = await client.next('publish', 1000)
    client.send({ cmd: 'puback', messageId: messageId as number })
    await net.rest()
    for (const resolve of release) resolve()
    await net.rest()
    expect(client.packets.filter(({ cmd }) => cmd === 'puback').length).toBe(8)
  })

  test('are not read beyond 64 messages of QoS 0 in work', async () => {
    let begun = 0
    const net: Lab = await lab(
      app => void app.use(router()).put('/work/:id', () => (begun++, new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))))
    )
    const client = await net.client()
    for (let index = 0; index < 200; index++) client.publish(`work/${index}`, 'x')
    await net.rest(500)
    expect(begun).toBe(64)
    await net.rest(5000)
    expect(begun).toBe(200)
  })
})
