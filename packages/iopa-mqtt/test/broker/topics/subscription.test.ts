import { type App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

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

describe('matching subscriptions', () => {
  test('of one session give one message, with the highest QoS and every identifier', async () => {
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

  test('with no-local leave out the messages of their own client', async () => {
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

  test('with no-local leave out the states that their own client changed', async () => {
    const state: Record<string, unknown> = { hall: 'off' }
    const net = await lab(lights(state))
    const client = await net.client()
    await client.subscribe(['lights/hall', 'lights/+'], { nl: true, rh: 2 })
    await client.put('lights/hall', 'x')
    expect(await client.messages()).toEqual([])
    await (await net.client()).put('lights/hall', 'x')
    expect(await client.messages()).toEqual(['lights/hall on'])
  })

  test('with retain-as-published keep the RETAIN flag', async () => {
    const net = await lab()
    const keeps = await net.client()
    await keeps.subscribe('a', { rap: true })
    const drops = await net.client()
    await drops.subscribe('a')
    ;(await net.client()).publish('a', 'x', { retain: true })
    expect(await keeps.next('publish')).toMatchObject({ retain: true })
    expect(await drops.next('publish')).toMatchObject({ retain: false })
  })

  test('of a group give each message to one of its sessions in turn', async () => {
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

  test('of a group skip a session that is not authorized for the topic', async () => {
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

  test('of a group leave out a session that is away', async () => {
    const net = await lab()
    const here = await net.client()
    const away = await net.client({ clean: false, properties: { sessionExpiryInterval: 100 } })
    for (const worker of [here, away]) await worker.subscribe('$share/g/jobs', { qos: 1 })
    await away.vanish()
    for (let index = 0; index < 4; index++) await (await net.client()).put('jobs', 'x')
    expect((await here.messages()).length).toBe(4)
  })

  test('end with UNSUBSCRIBE', async () => {
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

describe('a removed subscription', () => {
  test('of the last member of a group makes room for another subscription', async () => {
    const net = await lab(undefined, { maxSubscriptions: 1 })
    const client = await net.client()
    await client.subscribe('$share/g/a')
    client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['$share/g/a'] })
    await client.next('unsuback')
    expect(await client.subscribe('b')).toEqual([0])
  })

  test('stops the observation', async () => {
    const net = await lab(app => void app.use(router()).get('/state', () => 'x'))
    const client = await net.client()
    await net.rest()
    const before = net.app.live
    await client.subscribe('state')
    expect(net.app.live).toBe(before + 1)
    client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['state'] })
    await client.next('unsuback')
    await net.rest()
    expect(net.app.live).toBe(before)
  })
})

describe('a retained message', () => {
  test('is sent with the lower of its own QoS and that of the subscription', async () => {
    const net = await lab()
    const publisher = await net.client()
    for (const qos of [0, 1, 2] as const) publisher.publish(`a/${qos}`, 'x', { qos, retain: true, messageId: qos + 1 })
    await net.rest()
    const client = await net.client()
    await client.subscribe(['a/+'], { qos: 1 })
    await client.subscribe(['a/0', 'a/1', 'a/2'], { qos: 2 })
    await net.rest()
    const seen = client.packets.filter(packet => packet.cmd === 'publish').map(packet => `${packet['topic']} ${packet['qos']}`)
    expect(seen).toEqual(['a/0 0', 'a/1 1', 'a/2 1', 'a/0 0', 'a/1 1', 'a/2 2'])
  })
})

describe('a group', () => {
  test('skips a congested member while another one has room', async () => {
    const net = await lab()
    const busy = await net.client({ acknowledges: false, properties: { receiveMaximum: 1 } })
    const free = await net.client()
    for (const client of [busy, free]) await client.subscribe('$share/g/a', { qos: 1 })
    const publisher = await net.client()
    for (let index = 0; index < 6; index++) await publisher.put('a', String(index))
    expect((await busy.messages()).length).toBe(1)
    expect((await free.messages()).length).toBe(5)
  })

  test('whose members are all away keeps messages for one that reconnects', async () => {
    const net = await lab()
    const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }
    const first = await net.client(form)
    await first.subscribe('$share/g/a', { qos: 1 })
    await first.vanish()
    await (await net.client()).put('a', 'x')
    expect(await (await net.client(form)).messages()).toEqual(['a x'])
  })
})
