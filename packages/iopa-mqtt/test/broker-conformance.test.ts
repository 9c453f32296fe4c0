import { type App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from './broker/lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('topics that begin with $', () => {
  test.each(['$SYS/broker/connection/house/state', '$x/a', '$SYS', '$'])('a publish of MQTT 3 to %s is acknowledged and dropped', async topic => {
    const net = await lab()
    const watcher = await net.client()
    await watcher.subscribe(['$SYS/#', '$x/#', '$', '#'])
    const client = await net.client({ version: 4 })
    expect(await client.put(topic, '1', { retain: true })).toBeDefined()
    client.publish(topic, '1', { qos: 2, messageId: 4 })
    await client.next('pubrec')
    client.publish(topic, '1')
    await net.rest()
    expect(client.closed).toBe(false)
    expect(await watcher.messages()).toEqual([])
    const later = await net.client()
    await later.subscribe(['$SYS/#', '$x/#', '$'])
    expect(await later.messages()).toEqual([])
  })

  test('a publish of MQTT 5 to one is refused with 0x87', async () => {
    const net = await lab()
    const client = await net.client()
    expect(await client.put('$x/a', '1')).toMatchObject({ reasonCode: 0x87 })
    expect(client.closed).toBe(false)
  })

  test('a publish to one is refused with the reason code alone, for there are clients that read no properties here', async () => {
    const net = await lab()
    const client = await net.client()
    const puback = await client.put('$x/a', '1')
    expect(puback).toMatchObject({ reasonCode: 0x87, length: 3 })
  })

  test('a bridge of mosquitto with notifications stays connected', async () => {
    const net = await lab()
    const topic = '$SYS/broker/connection/house.bridge/state'
    const client = await net.client({ version: 4, ...bridge, will: { topic, payload: Buffer.from('0'), qos: 1, retain: true } })
    await client.put(topic, '1', { retain: true })
    expect(client.closed).toBe(false)
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

describe('an ill-formed topic filter', () => {
  const filters = ['', 'a#', '+a', 'a/#/b', '$share/g/', '$share/+/a']

  test.each(filters)('%j closes a connection of MQTT 3.1.1', async topic => {
    const net = await lab()
    const client = await net.client({ version: 4 })
    client.lenient = true
    client.sendBytes(subscribe(topic, 4))
    await net.rest(3000)
    expect(client.closed).toBe(true)
    expect(client.packets).toEqual([])
    const other = await net.client({ version: 4 })
    other.sendBytes(unsubscribe(topic, 4))
    await net.rest(3000)
    expect(other.closed).toBe(true)
  })

  test.each(filters)('%j is 0x8F in MQTT 5', async topic => {
    const net = await lab()
    const client = await net.client()
    client.sendBytes(subscribe(topic, 5))
    expect((await client.next('suback'))['granted']).toEqual([0x8f])
    client.sendBytes(unsubscribe(topic, 5))
    expect((await client.next('unsuback'))['granted']).toEqual([0x8f])
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

/** What mosquitto sets in its CONNECT as a bridge. */
const bridge = { bridgeMode: true }

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

const subscribe = (filter: string, version: number): Buffer => {
  const body = Buffer.concat([Buffer.from(version === 5 ? [0, 1, 0] : [0, 1]), text(filter), Buffer.from([0])])
  return Buffer.concat([Buffer.from([0x82, body.length]), body])
}

const unsubscribe = (filter: string, version: number): Buffer => {
  const body = Buffer.concat([Buffer.from(version === 5 ? [0, 2, 0] : [0, 2]), text(filter)])
  return Buffer.concat([Buffer.from([0xa2, body.length]), body])
}
