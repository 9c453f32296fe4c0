import { type App, type Bag, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, type Lab, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

type Json = Record<string, unknown>

const routed = (app: App): void => void app.use(router())

/** What middleware makes of the user name of a CONNECT. */
const named = (app: App): void => {
  app.use((context, next) => {
    const name = context['mqtt.UserName']
    if (name !== undefined) context['server.User'] = { id: name }
    return next()
  })
  app.use(router())
}

const ask = async (net: Lab, method: string, path: string): Promise<{ status: number; body: Json }> => {
  const [plain = '', query = ''] = path.split('?')
  const request: Bag = { 'iopa.Method': method, 'iopa.Path': plain, 'iopa.QueryString': query }
  const answer = await net.clock.runUntil(net.app.invoke(request))
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Json) }
}

const get = async (net: Lab, path: string): Promise<Json> => {
  const { status, body } = await ask(net, 'GET', path)
  expect(status, JSON.stringify(body)).toBe(200)
  return body
}

const items = (page: Json): Json[] => page['items'] as Json[]

describe('the sessions', () => {
  test('say who is connected, how, since when and with what', async () => {
    const net = await lab(named, { admin: '/mqtt' })
    const client = await net.client({ clientId: 'sensor', username: 'ann', password: Buffer.from('secret'), keepalive: 30, version: 5 })
    await client.subscribe(['a', 'b/+'], { qos: 1 })
    const away = await net.client({ clientId: 'away', clean: false, version: 4 })
    await away.subscribe('a', { qos: 1 })
    await away.leave()
    await client.put('a', 'payload')
    const { items: found, next } = await get(net, '/mqtt/sessions')
    expect(next).toBeUndefined()
    expect(found).toMatchObject([
      { key: 'ann@sensor', clientId: 'sensor', user: 'ann', connected: true, protocolVersion: 5, cleanStart: true, keepAlive: 30, subscriptions: 2 },
      { key: 'away', clientId: 'away', user: null, connected: false, protocolVersion: 4, expiryInterval: 604_800, queued: 1, inflight: 0, will: null }
    ])
    expect(JSON.stringify(found)).not.toMatch(/secret|payload/)
    expect(await get(net, '/mqtt/sessions/ann@sensor')).toMatchObject({
      clientId: 'sensor',
      address: '127.0.0.1',
      since: expect.stringMatching(/^2023-/)
    })
    expect((await ask(net, 'GET', '/mqtt/sessions/sensor')).status).toBe(404)
  })

  test('come in pages', async () => {
    const net = await lab(routed, { admin: '/mqtt' })
    for (let index = 0; index < 5; index++) await net.client({ clientId: `c${index}` })
    const found: unknown[] = []
    for (let after: unknown = ''; after !== undefined; ) {
      const page = await get(net, `/mqtt/sessions?limit=2&after=${after}`)
      found.push(...items(page).map(({ clientId }) => clientId))
      after = page['next']
    }
    expect(found).toEqual(['c0', 'c1', 'c2', 'c3', 'c4'])
    for (const query of ['limit=0', 'limit=x', 'limit=1001']) expect((await ask(net, 'GET', `/mqtt/sessions?${query}`)).status).toBe(400)
  })

  test('end their connection with 0x98, and stay', async () => {
    const net = await lab(routed, { admin: '/mqtt' })
    const client = await net.client({ clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } })
    const older = await net.client({ clientId: 'older', version: 4 })
    expect((await ask(net, 'DELETE', '/mqtt/sessions/c/connection')).status).toBe(204)
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x98 })
    await ask(net, 'DELETE', '/mqtt/sessions/older/connection')
    await net.rest()
    expect([client.closed, older.closed]).toEqual([true, true])
    expect((await ask(net, 'DELETE', '/mqtt/sessions/c/connection')).status).toBe(404)
    expect(await get(net, '/mqtt/sessions/c')).toMatchObject({ connected: false })
    expect((await net.connect({ clientId: 'c', clean: false })).connack.sessionPresent).toBe(true)
  })

  test('end with what waits for them', async () => {
    const net = await lab(routed, { admin: '/mqtt' })
    const client = await net.client({ clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } })
    expect((await ask(net, 'DELETE', '/mqtt/sessions/c')).status).toBe(204)
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x98 })
    expect((await ask(net, 'GET', '/mqtt/sessions/c')).status).toBe(404)
    expect((await net.connect({ clientId: 'c', clean: false })).connack.sessionPresent).toBe(false)
  })

  test('show their queue in pages, payloads only when asked for', async () => {
    const net = await lab(routed, { admin: '/mqtt' })
    const client = await net.client({
      clientId: 'c',
      clean: false,
      acknowledges: false,
      properties: { sessionExpiryInterval: 100, receiveMaximum: 1 }
    })
    await client.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    await publisher.put('a', 'first')
    await publisher.put('a', Buffer.from([0xff]))
    await publisher.put('a', 'third', { properties: { messageExpiryInterval: 60, contentType: 'text/plain' } })
    expect(items(await get(net, '/mqtt/sessions/c/queue'))).toEqual([
      { topic: 'a', qos: 1, retain: false, bytes: 5, state: 'sent', packetId: 1 },
      { topic: 'a', qos: 1, retain: false, bytes: 1, state: 'waiting' },
      { topic: 'a', qos: 1, retain: false, bytes: 5, state: 'waiting', contentType: 'text/plain', expiresAt: expect.any(String) }
    ])
    const first = await get(net, '/mqtt/sessions/c/queue?limit=2&payload=true')
    expect(first).toMatchObject({ items: [{ payload: 'first' }, { payloadBase64: '/w==' }], next: '2' })
    const rest = await get(net, '/mqtt/sessions/c/queue?after=2&payload=true')
    expect([items(rest).map(({ payload }) => payload), rest['next']]).toEqual([['third'], undefined])
  })

  test('show their subscriptions by filter', async () => {
    const net = await lab(routed, { admin: '/mqtt' })
    const client = await net.client({ clientId: 'c' })
    await client.subscribe(['z', 'a/#', '$share/g/m'], { qos: 2, identifier: 7 })
    const page = await get(net, '/mqtt/sessions/c/subscriptions?limit=2')
    expect(items(page)).toEqual([
      { filter: '$share/g/m', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 7 },
      { filter: 'a/#', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 7 }
    ])
    expect(items(await get(net, `/mqtt/sessions/c/subscriptions?after=${encodeURIComponent(String(page['next']))}`))).toMatchObject([{ filter: 'z' }])
  })
})

test('the subscriptions of a topic name each session once for each filter, members of groups included', async () => {
  const net = await lab(routed, { admin: '/mqtt' })
  await (await net.client({ clientId: 'one' })).subscribe(['a/b', 'a/+'])
  await (await net.client({ clientId: 'two' })).subscribe('$share/g/a/#', { qos: 1 })
  await (await net.client({ clientId: 'three' })).subscribe('b')
  expect(items(await get(net, '/mqtt/subscriptions?topic=a/b')).map(({ key, filter }) => `${key} ${filter}`)).toEqual([
    'one a/+',
    'one a/b',
    'two $share/g/a/#'
  ])
  expect((await ask(net, 'GET', '/mqtt/subscriptions')).status).toBe(400)
})

describe('the retained messages', () => {
  test('are listed by filter, read and deleted', async () => {
    const net = await lab(routed, { admin: '/mqtt' })
    const client = await net.client()
    for (const topic of ['a/1', 'a/2', '/x', 'a//b', 'b']) await client.put(topic, `of ${topic}`, { retain: true })
    const page = await get(net, '/mqtt/retained?filter=a/%23&limit=2')
    expect(page).toEqual({
      items: [
        { topic: 'a//b', qos: 1, bytes: 7 },
        { topic: 'a/1', qos: 1, bytes: 6 }
      ],
      next: 'a/1'
    })
    expect(items(await get(net, '/mqtt/retained?filter=a/%23&after=a/1'))).toEqual([{ topic: 'a/2', qos: 1, bytes: 6 }])
    expect(items(await get(net, '/mqtt/retained'))).toHaveLength(5)
    expect(await get(net, '/mqtt/retained/~/x')).toEqual({ topic: '/x', qos: 1, bytes: 5 })
    expect(await get(net, '/mqtt/retained/a/~/b?payload=true')).toEqual({ topic: 'a//b', qos: 1, bytes: 7, payload: 'of a//b' })
    expect((await ask(net, 'DELETE', '/mqtt/retained/a/~/b')).status).toBe(204)
    for (const method of ['GET', 'DELETE']) expect((await ask(net, method, '/mqtt/retained/a/~/b')).status).toBe(404)
    expect((await ask(net, 'GET', '/mqtt/retained?filter=a%23')).status).toBe(400)
  })

  test('of the broker itself are not deleted', async () => {
    const net = await lab(routed, { admin: '/mqtt', statistics: 1 })
    await net.rest(1500)
    expect(await get(net, '/mqtt/retained/$SYS/broker/version')).toMatchObject({ topic: '$SYS/broker/version' })
    expect((await ask(net, 'DELETE', '/mqtt/retained/$SYS/broker/version')).status).toBe(400)
  })
})

describe('the events', () => {
  test('say who connected, subscribed, unsubscribed and left, and why', async () => {
    const net = await lab(named, { admin: '/mqtt' })
    const client = await net.client({ clientId: 'c', username: 'ann', clean: false, properties: { sessionExpiryInterval: 1 } })
    await client.subscribe(['a', 'bad/#/filter'], { qos: 1 })
    client.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a', 'never'] })
    await client.next('unsuback')
    await client.leave()
    await net.rest(2000)
    const { events, last } = await get(net, '/mqtt/events')
    expect((events as Json[]).map(({ at: _, ...event }) => event)).toEqual([
      { number: 1, event: 'connected', key: 'ann@c', clientId: 'c', user: 'ann', address: '127.0.0.1', protocolVersion: 5 },
      { number: 2, event: 'subscribed', key: 'ann@c', clientId: 'c', user: 'ann', filter: 'a', qos: 1 },
      { number: 3, event: 'unsubscribed', key: 'ann@c', clientId: 'c', user: 'ann', filter: 'a' },
      { number: 4, event: 'disconnected', key: 'ann@c', clientId: 'c', user: 'ann', reasonCode: 0, reason: 'normal-disconnection' },
      { number: 5, event: 'session-ended', key: 'ann@c', clientId: 'c', user: 'ann' }
    ])
    expect(last).toBe(5)
    expect((await get(net, '/mqtt/events?after=3&limit=1'))['events']).toMatchObject([{ number: 4 }])
  })

  test('are the last thousand, and a reader sees a gap by the numbers', async () => {
    const net = await lab(routed, { admin: '/mqtt' })
    const client = await net.client({ clientId: 'c' })
    for (let round = 0; round < 11; round++) await client.subscribe(Array.from({ length: 100 }, (_, index) => `t/${index}`))
    const { events, last } = await get(net, '/mqtt/events?after=0&limit=1000')
    expect([last, (events as Json[]).length, (events as Json[])[0]?.['number']]).toEqual([1101, 1000, 102])
  })

  test('reach observers, bounded in time, and each of them once', async () => {
    const net = await lab(routed, { admin: '/mqtt' })
    const stop = new AbortController()
    const seen: number[] = []
    const watching = (async () => {
      for await (const answer of net.app.observe('/mqtt/events', { signal: stop.signal })) seen.push(JSON.parse(await answer.text()).last)
    })().catch(() => undefined)
    await net.rest()
    for (let index = 0; index < 50; index++) await net.client()
    await net.rest(1000)
    expect(seen.at(-1)).toBe(50)
    expect(seen.length).toBeLessThan(10)
    stop.abort()
    await watching
  })

  test('of a subscription to them by MQTT are sent once, and no message follows its own delivery', async () => {
    const net = await lab(routed, { admin: '/mqtt', statistics: 1 })
    const client = await net.client({ clientId: 'c' })
    await client.subscribe(['mqtt/events', 'mqtt/sessions/c'], { qos: 1 })
    await net.rest(5000)
    const messages = await client.messages()
    expect(messages.filter(message => message.startsWith('mqtt/events')).length).toBeLessThanOrEqual(2)
    expect(messages.filter(message => message.startsWith('mqtt/sessions')).length).toBeLessThanOrEqual(2)
    expect(messages.filter(message => message.startsWith('mqtt/events')).at(-1)).toContain('"filter":"mqtt/events"')
    await net.rest(5000)
    expect(await client.messages()).toEqual([])
  })
})

test('the statistics count messages by QoS, drops by reason, and refused clients', async () => {
  const net = await lab(
    app => {
      app.use((context, next) => {
        if (context.method === 'CONNECT' && context['mqtt.UserName'] === 'bad') throw new IopaError(401, 'unknown-user', 'no')
        return next()
      })
      app.use(router())
    },
    { admin: '/mqtt' }
  )
  const client = await net.client()
  await client.subscribe('a', { qos: 2 })
  client.publish('a', '0')
  await client.put('a', '1')
  client.publish('a', '2', { qos: 2, messageId: 4 })
  await net.rest()
  const small = await net.client({ properties: { maximumPacketSize: 30 } })
  await small.subscribe('a', { qos: 1 })
  await client.put('a', 'x'.repeat(100))
  await net.connect({ username: 'bad' })
  const found = await get(net, '/mqtt/statistics')
  expect(found).toMatchObject({
    connections: { opened: 3, connects: 3, accepted: 2, unauthorized: 1 },
    messages: {
      received: { total: 4, qos0: 1, qos1: 2, qos2: 1 },
      sent: { total: 4, qos0: 1, qos1: 2, qos2: 1 },
      dropped: { total: 1, 'too-large': 1, 'queue-full': 0 }
    }
  })
})

test('statistics notify their observers at their interval alone', async () => {
  const net = await lab(routed, { admin: '/mqtt', statistics: 1 })
  const client = await net.client()
  await client.subscribe('mqtt/statistics')
  await client.messages()
  await net.rest(10_000)
  expect((await client.messages()).length).toBeLessThanOrEqual(11)
})
