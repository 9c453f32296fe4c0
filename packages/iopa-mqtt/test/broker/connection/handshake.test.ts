import { type App, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const FOREVER = 0xffff_ffff

describe('CONNECT', () => {
  test('is accepted by an app without a handler for it, in every version', async () => {
    const net = await lab()
    for (const version of [3, 4, 5] as const) {
      const { connack } = await net.connect({ version })
      expect(connack.sessionPresent).toBe(false)
      expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(0)
    }
  })

  test('gives a client of MQTT 5 the limits of the server', async () => {
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

  test('assigns a client identifier to a client without one, and sends it in CONNACK', async () => {
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

  test('bounds keep alive and session expiry, and tells the client', async () => {
    const net = await lab(undefined, { maxKeepAlive: 60, maxSessionExpiry: 1000 })
    const asked = await net.connect({ keepalive: 120, properties: { sessionExpiryInterval: FOREVER } })
    expect(asked.connack.properties).toMatchObject({ serverKeepAlive: 60, sessionExpiryInterval: 1000 })
    expect((await net.connect({ keepalive: 0 })).connack.properties).toMatchObject({ serverKeepAlive: 60 })
    expect((await net.connect({ keepalive: 30, properties: { sessionExpiryInterval: 5 } })).connack.properties).not.toHaveProperty('serverKeepAlive')
  })

  test('refuses an unsupported version', async () => {
    const net = await lab()
    const client = await net.dial(4)
    client.sendBytes(Buffer.from([0x10, 13, 0, 4, 77, 81, 84, 84, 6, 2, 0, 0, 0, 1, 97]))
    expect(await client.next('connack')).toMatchObject({ returnCode: 1 })
    await net.clock.runUntil(() => client.closed)
  })

  test('of a client that leaves before CONNACK leaves nothing behind', async () => {
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

  test('refuses a will with an invalid topic', async () => {
    const net = await lab()
    expect((await net.connect({ will: { topic: 'a/+', payload: 'x' } })).connack.reasonCode).toBe(0x90)
    expect((await net.connect({ version: 4, will: { topic: 'a/+', payload: 'x' } })).connack.returnCode).toBe(5)
  })

  test('is answered before packets that came right behind it', async () => {
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

  test.each([
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

  test('accepts only 2xx', async () => {
    const net = await lab(app => app.use((context, next) => (context.method === 'CONNECT' ? reply(Number(context['mqtt.ClientId'])) : next())))
    for (const clientId of ['302', '304', '404', '405']) expect((await net.connect({ clientId })).connack.reasonCode, clientId).toBe(0x80)
    for (const clientId of ['200', '204']) expect((await net.connect({ clientId })).connack.reasonCode, clientId).toBe(0)
  })

  test('sends its reason string', async () => {
    const net = await lab(guard)
    expect((await net.connect({ username: 'banned', password: Buffer.from('x') })).connack.properties).toMatchObject({
      reasonString: 'You are banned.'
    })
  })

  test('has its user in every request of the connection', async () => {
    const net = await lab(guard)
    const { client } = await net.connect({ username: 'ann', password: Buffer.from('right') })
    await client.subscribe('answers')
    await client.put('whoami', 'x', { properties: { responseTopic: 'answers' } })
    expect(await client.messages()).toEqual(['answers {"id":"ann","mine":"ann"}'])
  })

  test('gets DISCONNECT when a connection ends', async () => {
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

  test('continues with AUTH packets until the pipeline accepts', async () => {
    const net = await lab(challenge)
    const client = await net.dial(5)
    client.send({ cmd: 'connect', clientId: 'c', protocolVersion: 5, clean: true, keepalive: 0, properties: method('hello') })
    expect(await client.next('auth')).toMatchObject({ reasonCode: 0x18, properties: method('2+3') })
    client.send({ cmd: 'auth', reasonCode: 0x18, properties: method('5') })
    expect(await client.next('connack')).toMatchObject({ reasonCode: 0, properties: { authenticationMethod: 'SUM' } })
    await client.subscribe('whoami')
    expect(await client.messages()).toEqual(['whoami mathematician'])
  })

  test('can be repeated while the connection is open, and ends it when it fails', async () => {
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

  test('is refused when a step fails', async () => {
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

describe('an authentication method', () => {
  const properties = { authenticationMethod: 'SCRAM-SHA-1', authenticationData: Buffer.from('x') }

  test('that no middleware looks at is refused with 0x8C', async () => {
    const net = await lab()
    const { client, connack } = await net.connect({ properties })
    expect(connack.reasonCode).toBe(0x8c)
    await net.rest(3000)
    expect(client.closed).toBe(true)
  })

  test('that a handler of CONNECT accepts without looking at it is refused too', async () => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method !== 'CONNECT') return next()
        context.response.status = 204
        return undefined
      })
    )
    expect((await net.connect({ properties })).connack.reasonCode).toBe(0x8c)
    expect((await net.connect()).connack.reasonCode).toBe(0)
  })

  test('that middleware takes is named in CONNACK', async () => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'CONNECT' && context['mqtt.AuthenticationMethod'] !== 'SCRAM-SHA-1') throw new IopaError(401, 'unauthorized')
        return next()
      })
    )
    expect((await net.connect({ properties })).connack).toMatchObject({ reasonCode: 0, properties: { authenticationMethod: 'SCRAM-SHA-1' } })
  })
})

describe('CONNACK', () => {
  test('has no session present in MQTT 3.1', async () => {
    const net = await lab()
    for (let times = 0; times < 2; times++) {
      const { client, connack } = await net.connect({ version: 3, clientId: 'c', clean: false })
      expect(connack.sessionPresent).toBe(false)
      await client.vanish()
    }
  })

  test('that is larger than the client takes closes the connection, and opens no session', async () => {
    const net = await lab()
    const client = await net.dial(5)
    client.send({
      cmd: 'connect',
      protocolVersion: 5,
      clientId: 'c',
      clean: false,
      keepalive: 0,
      properties: { maximumPacketSize: 10, sessionExpiryInterval: 100 },
      will: { topic: 'will', payload: Buffer.from('x'), qos: 0, retain: true }
    })
    await net.rest(3000)
    expect(client.closed).toBe(true)
    expect(client.packets).toEqual([])
    const { client: second, connack } = await net.connect({ clientId: 'c', clean: false })
    expect(connack.sessionPresent).toBe(false)
    await second.subscribe('will')
    expect(await second.messages()).toEqual([])
  })
})

describe('CONNECT', () => {
  test.each(['a/+', 'a/#'])('with a will whose Response Topic is %s is refused', async responseTopic => {
    const net = await lab()
    const { connack } = await net.connect({ will: { topic: 'w', payload: Buffer.from('x'), qos: 0, retain: false, properties: { responseTopic } } })
    expect(connack.reasonCode).toBe(0x90)
  })

  test('gives middleware the user name and the password, also where a colon keeps them out of a Basic header', async () => {
    const seen: unknown[] = []
    const net = await lab((app: App) => {
      app.use((context, next) => {
        const password = context['mqtt.Password']
        seen.push([context.method, context['mqtt.UserName'], password && Buffer.from(password).toString(), context.headers.get('authorization')])
        if (context['mqtt.UserName'] !== 'house:ann' && context.method === 'CONNECT') throw new IopaError(401, 'unauthorized')
        return next()
      })
    })
    const { client, connack } = await net.connect({ username: 'house:ann', password: Buffer.from('secret') })
    expect(connack.reasonCode).toBe(0)
    expect(seen).toEqual([['CONNECT', 'house:ann', 'secret', undefined]])
    // What follows does not carry the password.
    await client.put('a', 'x')
    expect(seen[1]).toEqual(['PUT', undefined, undefined, undefined])
    expect((await net.connect({ username: 'house', password: Buffer.from('ann:secret') })).connack.reasonCode).toBe(0x86)
    expect(seen[2]).toEqual(['CONNECT', 'house', 'ann:secret', `Basic ${Buffer.from('house:ann:secret').toString('base64')}`])
  })
})

describe('the packet limit', () => {
  test('can be below 64 KiB', async () => {
    const net = await lab(app => void app.use(router()), { maxPacketSize: 2000 })
    const { client, connack } = await net.connect()
    expect(connack.properties).toMatchObject({ maximumPacketSize: 2000 })
    await client.put('a', 'x'.repeat(1900))
    client.publish('a', 'x'.repeat(2000))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x95 })
  })
})
