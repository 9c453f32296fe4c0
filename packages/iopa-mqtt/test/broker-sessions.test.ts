import { type App, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLabs, lab } from './broker/lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const FOREVER = 0xffff_ffff
const persistent = (clientId = 'c', sessionExpiryInterval = 100) => ({ clientId, clean: false, properties: { sessionExpiryInterval } })

describe('CONNECT', () => {
  it('is accepted by an app that says nothing of it, in every version', async () => {
    const net = await lab()
    for (const version of [3, 4, 5] as const) {
      const { connack } = await net.connect({ version })
      expect(connack.sessionPresent).toBe(false)
      expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(0)
    }
  })

  it('tells a client of MQTT 5 what the server allows', async () => {
    const net = await lab(undefined, { responseInformation: 'answers/{clientId}/' })
    const { connack } = await net.connect({ clientId: 'me', keepalive: 10, properties: { requestResponseInformation: true } })
    expect({ ...connack.properties }).toEqual({
      receiveMaximum: 64,
      maximumPacketSize: 1024 * 1024 + 65_536,
      topicAliasMaximum: 32,
      responseInformation: 'answers/me/'
    })
    expect((await net.connect({ clientId: 'you', keepalive: 10 })).connack.properties).not.toHaveProperty('responseInformation')
  })

  it('assigns a client identifier to a client without one, and tells it', async () => {
    const net = await lab()
    const first = await net.connect({ clientId: '' })
    const second = await net.connect({ clientId: '' })
    const id = first.connack.properties?.assignedClientIdentifier
    expect(id).toMatch(/^iopa-[\w-]{16}$/)
    expect(second.connack.properties?.assignedClientIdentifier).not.toBe(id)
    expect((await net.connect({ version: 4, clientId: '' })).connack.returnCode).toBe(0)
    const without = [
      Buffer.from([0x10, 14, 0, 6, ...Buffer.from('MQIsdp'), 3, 2, 0, 0, 0, 0]),
      Buffer.from([0x10, 12, 0, 4, ...Buffer.from('MQTT'), 4, 0, 0, 0, 0, 0])
    ]
    for (const bytes of without) {
      const client = await net.dial(4)
      client.sendBytes(bytes)
      expect(await client.next('connack')).toMatchObject({ returnCode: 2 })
    }
  })

  it('bounds keep alive and session expiry, and tells the client', async () => {
    const net = await lab(undefined, { maxKeepAlive: 60, maxSessionExpiry: 1000 })
    const asked = await net.connect({ keepalive: 120, properties: { sessionExpiryInterval: FOREVER } })
    expect(asked.connack.properties).toMatchObject({ serverKeepAlive: 60, sessionExpiryInterval: 1000 })
    expect((await net.connect({ keepalive: 0 })).connack.properties).toMatchObject({ serverKeepAlive: 60 })
    expect((await net.connect({ keepalive: 30, properties: { sessionExpiryInterval: 5 } })).connack.properties).not.toHaveProperty('serverKeepAlive')
  })

  it('refuses a version that it does not speak', async () => {
    const net = await lab()
    const client = await net.dial(4)
    client.sendBytes(Buffer.from([0x10, 13, 0, 4, 77, 81, 84, 84, 6, 2, 0, 0, 0, 1, 97]))
    expect(await client.next('connack')).toMatchObject({ returnCode: 1 })
    await net.clock.runUntil(() => client.closed)
  })

  it('of a client that is gone before its answer leaves nothing behind', async () => {
    const net = await lab(app =>
      app.use(async (context, next) => {
        if (context.method === 'CONNECT' && context['mqtt.KeepAlive'] === 7)
          await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 100))
        return next()
      })
    )
    const client = await net.dial(5)
    client.send({ cmd: 'connect', clientId: 'c', protocolVersion: 5, clean: true, keepalive: 7 })
    await net.rest(50)
    await client.vanish()
    await net.rest(200)
    expect(client.packets).toEqual([])
    expect((await net.connect({ clientId: 'c', clean: false })).connack.sessionPresent).toBe(false)
  })

  it('refuses a will to what is no topic', async () => {
    const net = await lab()
    expect((await net.connect({ will: { topic: 'a/+', payload: 'x' } })).connack.reasonCode).toBe(0x90)
    expect((await net.connect({ version: 4, will: { topic: 'a/+', payload: 'x' } })).connack.returnCode).toBe(5)
  })

  it('is answered before packets that came right behind it', async () => {
    const net = await lab(app =>
      app.use(async (context, next) => {
        if (context.method === 'CONNECT') await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 100))
        return next()
      })
    )
    const client = await net.dial(4)
    client.send({ cmd: 'connect', clientId: 'c', protocolVersion: 4, clean: true, keepalive: 0 })
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] })
    client.publish('a', 'x')
    await net.rest(50)
    expect(client.packets).toEqual([])
    await net.rest(100)
    expect(client.packets.map(packet => packet.cmd).sort()).toEqual(['connack', 'publish', 'suback'])
    expect(client.packets[0]?.cmd).toBe('connack')
  })
})

describe('authentication as middleware', () => {
  const guard = (app: App): void => {
    app.use((context, next) => {
      if (context.method !== 'CONNECT') return next()
      const [user, password] = Buffer.from((context.headers.get('authorization') ?? '').replace('Basic ', ''), 'base64')
        .toString()
        .split(':')
      if (user === 'limited') throw new IopaError(429, 'slow-down')
      if (user === 'banned') throw new IopaError(403, 'banned', 'You are banned.')
      if (user === 'down') throw new IopaError(503, 'down')
      if (user === 'odd') throw new IopaError(400, 'odd')
      if (password !== 'right') throw new IopaError(401, 'wrong-password')
      context.user = { id: user as string }
      return next()
    })
    app.use(router()).put('/whoami', context => ({ id: context.user?.id, mine: context.connection?.['server.User']?.id }))
  }

  it.each([
    ['ann', 'wrong', 0x86, 4],
    ['banned', 'right', 0x87, 5],
    ['limited', 'right', 0x9f, 3],
    ['down', 'right', 0x88, 3],
    ['odd', 'right', 0x80, 5]
  ])('refuses %s with %i, in MQTT 3 with %i', async (username, password, reasonCode, returnCode) => {
    const net = await lab(guard)
    const five = await net.connect({ username, password: Buffer.from(password) })
    expect(five.connack.reasonCode).toBe(reasonCode)
    const four = await net.connect({ version: 4, username, password: Buffer.from(password) })
    expect(four.connack.returnCode).toBe(returnCode)
    await net.clock.runUntil(() => five.client.closed && four.client.closed)
  })

  it('takes nothing but 2xx for a yes', async () => {
    const net = await lab(app => app.use((context, next) => (context.method === 'CONNECT' ? reply(Number(context['mqtt.ClientId'])) : next())))
    for (const clientId of ['302', '304', '404', '405']) expect((await net.connect({ clientId })).connack.reasonCode, clientId).toBe(0x80)
    for (const clientId of ['200', '204']) expect((await net.connect({ clientId })).connack.reasonCode, clientId).toBe(0)
  })

  it('gives its reason', async () => {
    const net = await lab(guard)
    expect((await net.connect({ username: 'banned', password: Buffer.from('x') })).connack.properties).toMatchObject({
      reasonString: 'You are banned.'
    })
  })

  it('has its user in every request of the connection', async () => {
    const net = await lab(guard)
    const { client } = await net.connect({ username: 'ann', password: Buffer.from('right') })
    await client.subscribe('answers')
    await client.put('whoami', 'x', { properties: { responseTopic: 'answers' } })
    expect(await client.messages()).toEqual(['answers {"id":"ann","mine":"ann"}'])
  })

  it('hears of the end of a connection', async () => {
    const seen: unknown[] = []
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'DISCONNECT') seen.push([context['mqtt.ClientId'], context['mqtt.ReasonCode']])
        if (context.method === 'CONNECT') context.defer(reason => seen.push(reason))
        return next()
      })
    )
    await (await net.client({ clientId: 'a' })).leave({ reasonCode: 4 })
    await (await net.client({ clientId: 'b' })).vanish()
    await net.rest()
    expect(seen).toEqual([['a', 4], 'disconnect', ['b', 0x80], 'disconnect'])
  })
})

describe('enhanced authentication', () => {
  const challenge = (app: App): void => {
    app.use((context, next) => {
      if (context.method !== 'CONNECT' || context['mqtt.AuthenticationMethod'] === undefined) return next()
      if (context['mqtt.AuthenticationMethod'] !== 'SUM') throw new IopaError(403, 'unknown-method')
      const data = Buffer.from(context['mqtt.AuthenticationData'] ?? []).toString()
      if (data === 'hello' || data === 'again') {
        context.response.headers.set('www-authenticate', 'SUM')
        context.response.status = 401
        return '2+3'
      }
      if (data !== '5') throw new IopaError(401, 'wrong-sum', 'That is not the sum.')
      context.user = { id: 'mathematician' }
      return next()
    })
    app.use(router()).get('/whoami', context => context.user?.id ?? 'nobody')
  }
  const method = (data: string) => ({ authenticationMethod: 'SUM', authenticationData: Buffer.from(data) })

  it('goes on over AUTH packets until the pipeline accepts', async () => {
    const net = await lab(challenge)
    const client = await net.dial(5)
    client.send({ cmd: 'connect', clientId: 'c', protocolVersion: 5, clean: true, keepalive: 0, properties: method('hello') })
    expect(await client.next('auth')).toMatchObject({ reasonCode: 0x18, properties: method('2+3') })
    client.send({ cmd: 'auth', reasonCode: 0x18, properties: method('5') })
    expect(await client.next('connack')).toMatchObject({ reasonCode: 0, properties: { authenticationMethod: 'SUM' } })
    await client.subscribe('whoami')
    expect(await client.messages()).toEqual(['whoami mathematician'])
  })

  it('can be repeated while the connection is open, and ends it when it fails', async () => {
    const net = await lab(challenge)
    const client = await net.dial(5)
    client.send({ cmd: 'connect', clientId: 'c', protocolVersion: 5, clean: true, keepalive: 0, properties: method('5') })
    await client.next('connack')
    client.send({ cmd: 'auth', reasonCode: 0x19, properties: method('again') })
    expect(await client.next('auth')).toMatchObject({ reasonCode: 0x18 })
    client.send({ cmd: 'auth', reasonCode: 0x18, properties: method('5') })
    expect(await client.next('auth')).toMatchObject({ reasonCode: 0 })
    client.send({ cmd: 'auth', reasonCode: 0x19, properties: method('4') })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x87, properties: { reasonString: 'That is not the sum.' } })
  })

  it('is refused where it goes wrong', async () => {
    const net = await lab(challenge)
    const unknown = await net.connect({ properties: { authenticationMethod: 'X' } })
    expect(unknown.connack.reasonCode).toBe(0x87)
    const wrong = await net.dial(5)
    wrong.send({ cmd: 'connect', clientId: 'c', protocolVersion: 5, clean: true, keepalive: 0, properties: method('hello') })
    await wrong.next('auth')
    wrong.send({ cmd: 'auth', reasonCode: 0x18, properties: method('6') })
    expect(await wrong.next('connack')).toMatchObject({ reasonCode: 0x86 })
    const other = await net.dial(5)
    other.send({ cmd: 'connect', clientId: 'd', protocolVersion: 5, clean: true, keepalive: 0, properties: method('hello') })
    await other.next('auth')
    other.send({ cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'Y' } })
    await net.clock.runUntil(() => other.closed)
    const plain = await net.client()
    plain.send({ cmd: 'auth', reasonCode: 0x19, properties: method('5') })
    expect(await plain.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })
})

describe('a session', () => {
  it('keeps subscriptions and messages of QoS 1 and 2 while its client is away', async () => {
    const net = await lab()
    for (const version of [4, 5] as const) {
      const form = { version, clientId: `c${version}`, clean: false, properties: { sessionExpiryInterval: 100 } }
      const first = await net.connect(form)
      expect(first.connack.sessionPresent).toBe(false)
      await first.client.subscribe('a/#', { qos: 2 })
      await first.client.leave()
      const publisher = await net.client()
      publisher.publish('a/0', 'lost')
      await publisher.put('a/1', 'one')
      publisher.publish('a/2', 'two', { qos: 2, messageId: 3 })
      await publisher.next('pubrec')
      const second = await net.connect(form)
      expect(second.connack.sessionPresent).toBe(true)
      expect(await second.client.messages()).toEqual(['a/1 one', 'a/2 two'])
      publisher.publish('a/3', 'three')
      expect(await second.client.messages()).toEqual(['a/3 three'])
    }
  })

  it('begins anew with clean start', async () => {
    const net = await lab()
    const first = await net.client(persistent())
    await first.subscribe('a', { qos: 1 })
    await first.vanish()
    await (await net.client()).put('a', 'x')
    const { client, connack } = await net.connect({ ...persistent(), clean: true })
    expect(connack.sessionPresent).toBe(false)
    await (await net.client()).put('a', 'y')
    expect(await client.messages()).toEqual([])
  })

  it('ends when its time is over, and not before', async () => {
    const net = await lab()
    await (await net.client(persistent('short', 5))).vanish()
    await (await net.client(persistent('long', FOREVER))).vanish()
    await net.rest(4000)
    const back = await net.connect(persistent('short', 5))
    expect(back.connack.sessionPresent).toBe(true)
    await back.client.vanish()
    await net.rest(6000)
    expect((await net.connect(persistent('short', 5))).connack.sessionPresent).toBe(false)
    expect((await net.connect(persistent('long'))).connack.sessionPresent).toBe(true)
  })

  it('may be given another time when its client leaves', async () => {
    const net = await lab()
    await (await net.client(persistent('ends'))).leave({ sessionExpiryInterval: 0 })
    expect((await net.connect(persistent('ends'))).connack.sessionPresent).toBe(false)
    const none = await net.client({ clientId: 'none' })
    none.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 5 } })
    expect(await none.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  it('is taken over by a second connection, and the first is told', async () => {
    const net = await lab()
    const first = await net.client(persistent())
    await first.subscribe('a', { qos: 1 })
    const { client: second, connack } = await net.connect(persistent())
    expect(connack.sessionPresent).toBe(true)
    expect(await first.next('disconnect')).toMatchObject({ reasonCode: 0x8e })
    await net.clock.runUntil(() => first.closed)
    await (await net.client()).put('a', 'x')
    expect(await second.messages()).toEqual(['a x'])
  })

  it('sends again what was not acknowledged, in order and marked as a duplicate', async () => {
    const net = await lab()
    const first = await net.client(persistent())
    first.acknowledges = false
    await first.subscribe('a/#', { qos: 2 })
    const publisher = await net.client()
    for (const index of [1, 2, 3]) await publisher.put(`a/${index}`, String(index))
    publisher.publish('a/4', '4', { qos: 2, messageId: 4 })
    publisher.publish('a/5', '5', { qos: 2, messageId: 5 })
    await net.rest()
    const sent = first.packets.filter(packet => packet.cmd === 'publish')
    expect(sent.map(packet => packet['dup'])).toEqual([false, false, false, false, false])
    first.send({ cmd: 'puback', messageId: sent[0]?.messageId as number })
    first.send({ cmd: 'pubrec', messageId: sent[3]?.messageId as number })
    await first.next('pubrel')
    await first.vanish()
    const second = await net.client(persistent())
    await net.rest()
    const again = second.packets
      .filter(packet => packet.cmd === 'publish' || packet.cmd === 'pubrel')
      .map(packet => [packet.cmd, packet['topic'], packet['dup'], packet.messageId])
    expect(again.slice(0, 4)).toEqual([
      ['publish', 'a/2', true, sent[1]?.messageId],
      ['publish', 'a/3', true, sent[2]?.messageId],
      ['pubrel', null, false, sent[3]?.messageId],
      ['publish', 'a/5', true, sent[4]?.messageId]
    ])
    await second.vanish()
    const third = await net.client(persistent())
    expect(await third.messages()).toEqual([])
  })

  it('handles a message of QoS 2 once, however often it is sent', async () => {
    let count = 0
    const net = await lab(app => app.use(router()).put('/count', () => void count++))
    const first = await net.client(persistent())
    const message = { qos: 2 as const, messageId: 7 }
    first.publish('count', 'x', message)
    expect(await first.next('pubrec')).toMatchObject({ messageId: 7, reasonCode: 0 })
    first.publish('count', 'x', { ...message, dup: true })
    expect(await first.next('pubrec')).toMatchObject({ messageId: 7, reasonCode: 0 })
    await first.vanish()
    const second = await net.client(persistent())
    second.publish('count', 'x', { ...message, dup: true })
    await second.next('pubrec')
    expect(count).toBe(1)
    second.send({ cmd: 'pubrel', messageId: 7 })
    expect(await second.next('pubcomp')).toMatchObject({ messageId: 7, reasonCode: 0 })
    second.send({ cmd: 'pubrel', messageId: 7 })
    expect(await second.next('pubcomp')).toMatchObject({ messageId: 7, reasonCode: 0x92 })
    second.publish('count', 'x', message)
    await second.next('pubrec')
    expect(count).toBe(2)
  })

  it('answers a client that came back while its message of QoS 2 was still in work', async () => {
    let count = 0
    const net = await lab(app =>
      app.use(router()).put('/slow', async () => {
        count++
        await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
      })
    )
    const first = await net.client(persistent())
    first.publish('slow', 'x', { qos: 2, messageId: 7 })
    await net.rest()
    await first.vanish()
    const second = await net.client(persistent())
    second.publish('slow', 'x', { qos: 2, messageId: 7, dup: true })
    expect(await second.next('pubrec')).toMatchObject({ messageId: 7, reasonCode: 0 })
    expect(count).toBe(1)
  })

  it('belongs to the last of two connections that came at once', async () => {
    const net = await lab(app =>
      app.use(async (context, next) => {
        if (context.method === 'CONNECT') await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 100))
        return next()
      })
    )
    const clients = [await net.dial(5), await net.dial(5)]
    for (const client of clients) client.send({ cmd: 'connect', clientId: 'c', protocolVersion: 5, clean: true, keepalive: 0 })
    await net.rest(500)
    const [first, second] = clients
    expect(first?.packets.map(packet => packet.cmd)).toEqual(['connack', 'disconnect'])
    expect(second?.packets).toMatchObject([{ cmd: 'connack', sessionPresent: false }])
  })

  it('is refused when there are too many', async () => {
    const net = await lab(undefined, { maxSessions: 2 })
    await net.client()
    await net.client()
    expect((await net.connect()).connack.reasonCode).toBe(0x88)
    expect((await net.connect({ version: 4 })).connack.returnCode).toBe(3)
  })
})

describe('a will', () => {
  const will = (properties = {}, overrides = {}) => ({
    topic: 'wills/c',
    payload: Buffer.from('gone'),
    qos: 1 as const,
    retain: false,
    properties,
    ...overrides
  })

  it('is published when the connection breaks, and not when the client says goodbye', async () => {
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

  it('carries its properties and is retained when asked', async () => {
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

  it('waits for its delay, and is not published when the client is back before', async () => {
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

  it('does not wait longer than its session lives', async () => {
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

  it('is published when another client takes the session over, unless it was delayed', async () => {
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

  it('is not published because the server shuts down', async () => {
    const seen: string[] = []
    const net = await lab(app => app.use(router()).put('/wills/c', () => void seen.push('will')))
    await net.client({ will: will() })
    await net.close()
    expect(seen).toEqual([])
  })

  it('runs through the pipeline as the user of its session', async () => {
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

  it('is refused where its user may not publish', async () => {
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

describe('keep alive', () => {
  it('closes a connection without packets after one and a half times its interval', async () => {
    const net = await lab()
    for (const version of [4, 5] as const) {
      const client = await net.client({ version, keepalive: 10 })
      await net.rest(14_000)
      expect(client.closed).toBe(false)
      client.send({ cmd: 'pingreq' })
      expect(await client.next('pingresp')).toBeDefined()
      await net.rest(14_000)
      expect(client.closed).toBe(false)
      if (version === 5) expect(await client.next('disconnect', 3000)).toMatchObject({ reasonCode: 0x8d })
      await net.clock.runUntil(() => client.closed, 3000)
    }
  })

  it('of 0 never does', async () => {
    const net = await lab(undefined, { maxKeepAlive: 0 })
    const client = await net.client({ keepalive: 0 })
    await net.rest(24 * 3600 * 1000)
    expect(client.closed).toBe(false)
  })

  it('goes on while a handler works, however long that takes', async () => {
    const net = await lab(app => app.use(router()).put('/slow', () => new Promise<void>(resolve => void net.clock.setTimeout(resolve, 20_000))))
    const client = await net.client({ keepalive: 2 })
    client.publish('slow', 'x', { qos: 1, messageId: 1 })
    for (let second = 0; second < 15; second++) {
      client.send({ cmd: 'pingreq' })
      await client.next('pingresp')
      await net.rest(1000)
    }
    for (let second = 0; second < 6; second++) {
      client.send({ cmd: 'pingreq' })
      await net.rest(1000)
    }
    expect(await client.next('puback')).toMatchObject({ messageId: 1, reasonCode: 0x00 })
  })
})
