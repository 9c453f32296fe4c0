import { systemClock } from '@iopa/transport'
import type { IPublishPacket, Packet } from 'mqtt-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { decodeServerPacket, type ServerPublish } from '../src/codec/server-decoder.ts'
import { RemoteBroker, type RemoteBrokerOptions } from '../src/remote/broker.ts'
import { encodePublish, inbound, type MessageProperties } from '../src/remote/message.ts'
import { until } from './fixtures/peers.ts'
import { connack, type ScriptedBroker, scriptedBroker } from './fixtures/scripted-broker.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const serve = async (...args: Parameters<typeof scriptedBroker>): Promise<ScriptedBroker> => {
  const broker = await scriptedBroker(...args)
  closing.push(() => broker.close())
  return broker
}

const remote = (url: URL, options: Partial<RemoteBrokerOptions> = {}): RemoteBroker => {
  const broker = new RemoteBroker({
    url,
    clean: true,
    receiveMaximum: 10,
    maximumPacketSize: 100_000,
    maxWaiting: 100,
    clock: systemClock,
    reconnect: { initial: 5, maximum: 50 },
    receive: () => {},
    connected: async () => {},
    interrupted: () => {},
    ...options
  })
  closing.push(() => broker.close(false))
  return broker
}

const message = (text: string, qos: 0 | 1 | 2 = 1, topic = 'a') => ({ topic, payload: Buffer.from(text), qos })
const published = (packets: readonly Packet[]): string[] =>
  packets.filter(({ cmd }) => cmd === 'publish').map(packet => (packet as IPublishPacket).payload.toString())
const acknowledge = (packet: Packet, reasonCode = 0): Packet => ({ cmd: 'puback', messageId: packet.messageId!, reasonCode })

describe('a lasting connection to a broker', () => {
  test.each([
    ['refuses version 5 with 0x84', (packet: Packet) => packet.cmd === 'connect' && packet.protocolVersion === 5 && connack(0x84)],
    ['closes without a word', (packet: Packet) => packet.cmd === 'connect' && packet.protocolVersion === 5 && null]
  ])('falls back to MQTT 3.1.1 if the broker %s', async (_, answer) => {
    const { url, visits } = await serve((packet, visit) => {
      if (packet.cmd !== 'connect') return
      const said = answer(packet)
      if (said === null) visit.socket.destroy()
      else visit.send(said || connack())
    })
    const broker = remote(url)
    await broker.start()
    expect(broker.capabilities).toMatchObject({ protocolVersion: 4, shared: undefined, subscriptionIdentifiers: false })
    expect(visits).toHaveLength(2)
  })

  test('rejects the first connect with the reason, and uses only the requested version', async () => {
    const codes = [0x86, 0x87, 0x85, 0x89]
    const { url, visits } = await serve((_, visit, number) => visit.send(connack(codes[number - 1])))
    await expect(remote(url).start()).rejects.toMatchObject({ status: 401, code: 'broker-credentials' })
    await expect(remote(url).start()).rejects.toMatchObject({ status: 403, code: 'broker-forbidden' })
    await expect(remote(url).start()).rejects.toMatchObject({ status: 400, code: 'broker-client-id' })
    await expect(remote(url, { protocolVersion: 5 }).start()).rejects.toMatchObject({ status: 502, code: 'connect-failed' })
    expect(visits).toHaveLength(4)
  })

  test('goes to the server that the broker names, when it connects and later', async () => {
    const second = await serve((packet, visit) => packet.cmd === 'connect' && visit.send(connack()))
    const first = await serve((packet, visit, number) => {
      if (packet.cmd === 'connect') visit.send(number === 1 ? connack(0x9c, { serverReference: second.url.host }) : connack())
    })
    const broker = remote(first.url)
    await broker.start()
    expect([first.visits.length, second.visits.length]).toEqual([1, 1])
    second.visits[0]!.send({ cmd: 'disconnect', reasonCode: 0x9d, properties: { serverReference: first.url.host } })
    await until(() => first.visits.length === 2 && broker.connection)
    await broker.publish(message('x', 0))
    await until(() => published(first.visits[1]!.received).includes('x'))
  })

  test('never has more messages under way than the broker takes, nor larger ones', async () => {
    let most = 0
    const open = new Set<Packet>()
    const { url, visits } = await serve((packet, visit) => {
      if (packet.cmd === 'connect') visit.send(connack(0, { receiveMaximum: 3, maximumPacketSize: 2000 }))
      if (packet.cmd !== 'publish') return
      open.add(packet)
      most = Math.max(most, open.size)
      setTimeout(() => {
        open.delete(packet)
        visit.send(acknowledge(packet))
      }, 3)
    })
    const broker = remote(url)
    await broker.start()
    await Promise.all(Array.from({ length: 20 }, (_, n) => broker.publish(message(String(n)))))
    expect(most).toBe(3)
    await expect(broker.publish(message('x'.repeat(3000)))).rejects.toMatchObject({ status: 413, code: 'packet-too-large' })
    expect(published(visits[0]!.received)).toEqual(Array.from({ length: 20 }, (_, n) => String(n)))
  })

  test('sends a QoS 1 message again on the next connection, and reports others as possibly lost', async () => {
    const { url, visits } = await serve((packet, visit, number) => {
      if (packet.cmd === 'connect') visit.send(connack())
      if (packet.cmd !== 'publish') return
      if (number > 1) visit.send(acknowledge(packet, 0x10))
      else if (published(visit.received).length === 2) visit.socket.destroy()
    })
    const broker = remote(url)
    await broker.start()
    const results = await Promise.allSettled([broker.publish(message('one', 1)), broker.publish(message('two', 2))])
    expect(results[0]).toMatchObject({ status: 'fulfilled', value: { reasonCode: 0x10 } })
    expect(results[1]).toMatchObject({ status: 'rejected', reason: { status: 502, code: 'disconnected' } })
    expect(published(visits[1]!.received)).toEqual(['one'])
  })

  test('reports the reason of a refusal with the text of the broker', async () => {
    const { url } = await serve((packet, visit) => {
      if (packet.cmd === 'connect') visit.send(connack())
      if (packet.cmd === 'publish') {
        visit.send({
          cmd: 'puback',
          messageId: packet.messageId!,
          reasonCode: 0x87,
          properties: { reasonString: 'Not yours.', userProperties: { status: '403' } }
        })
      }
    })
    const broker = remote(url)
    await broker.start()
    expect(await broker.publish(message('x'))).toMatchObject({ reasonCode: 0x87, reasonString: 'Not yours.', userProperties: { status: '403' } })
  })

  test('cancels a publish whose signal aborts, in flight or waiting, and lets the next one go', async () => {
    const { url, visits } = await serve((packet, visit) => {
      if (packet.cmd === 'connect') visit.send(connack(0, { receiveMaximum: 1 }))
      if (packet.cmd === 'publish' && packet.payload.toString() === 'good') visit.send(acknowledge(packet))
    })
    const broker = remote(url)
    await broker.start()
    const stop = new AbortController()
    const stuck = [broker.publish(message('stuck'), stop.signal), broker.publish(message('waits'), stop.signal)]
    const good = broker.publish(message('good'))
    await until(() => published(visits[0]!.received).includes('stuck'))
    stop.abort(new Error('enough'))
    for (const publish of stuck) await expect(publish).rejects.toThrow('enough')
    await good
    expect(published(visits[0]!.received)).toEqual(['stuck', 'good'])
  })

  test('refuses to queue without end while there is no connection', async () => {
    const { url, visits } = await serve((packet, visit, number) => packet.cmd === 'connect' && number === 1 && visit.send(connack()))
    const broker = remote(url, { maxWaiting: 3, connectTimeout: 5000 })
    await broker.start()
    visits[0]!.socket.destroy()
    await until(() => !broker.connection)
    const stop = new AbortController()
    const waiting = [1, 2, 3].map(n => broker.publish(message(String(n)), stop.signal).catch((error: Error) => error.message))
    await expect(broker.publish(message('4'))).rejects.toMatchObject({ status: 503, code: 'overloaded' })
    stop.abort(new Error('enough'))
    expect(await Promise.all(waiting)).toEqual(['enough', 'enough', 'enough'])
  })

  test('reconnects at once at first, and waits longer after each failure', async () => {
    const { url, visits } = await serve((packet, visit, number) => {
      if (packet.cmd !== 'connect') return
      if (number === 1) visit.send(connack())
      else visit.socket.destroy()
    })
    const waits: number[] = []
    const broker = remote(url, { reconnect: { initial: 4, maximum: 40 }, interrupted: (_, wait) => waits.push(wait) })
    await broker.start()
    visits[0]!.socket.destroy()
    await until(() => waits.length === 7)
    expect(waits.shift()).toBe(0)
    for (const [index, wait] of waits.entries()) {
      const step = Math.min(40, 4 * 2 ** index)
      expect(wait).toBeGreaterThanOrEqual(step / 2)
      expect(wait).toBeLessThanOrEqual(step)
    }
  })

  test('drops a connection if the broker does not answer its preparation, and tries again', async () => {
    const { url, visits } = await serve((packet, visit, number) => {
      if (packet.cmd === 'connect') visit.send(connack())
      if (packet.cmd === 'subscribe' && number > 2) visit.send({ cmd: 'suback', messageId: packet.messageId!, granted: [1] })
    })
    const options = {
      connectTimeout: 40,
      connected: async (connection: { subscribe(requests: readonly { filter: string; qos: 1 }[]): Promise<readonly number[]> }) =>
        void (await connection.subscribe([{ filter: 'a', qos: 1 }]))
    }
    await expect(remote(url, options).start()).rejects.toMatchObject({ status: 504, code: 'timeout' })
    visits.length = 0
    const broker = remote(url, { ...options, connected: async connection => void (visits.length > 1 && (await options.connected(connection))) })
    await broker.start()
    visits[0]!.socket.destroy()
    await until(() => visits.length === 3 && broker.connection)
  })
})

describe('properties of a message', () => {
  const encoded = (properties: MessageProperties, version = 5): ServerPublish => {
    const packet = encodePublish({ topic: 'a', payload: Buffer.from('x'), qos: 0, properties }, version)(0)
    return decodeServerPacket(packet, 0, 2, packet.length, version) as ServerPublish
  }

  test('are sent as they are, and those without a value left out', () => {
    expect(encoded({ userProperties: {} }).properties).toEqual({})
    expect(encoded({ userProperties: { a: [], b: ['1', '2'], c: '' } }).properties.userProperties).toEqual([
      ['b', '1'],
      ['b', '2'],
      ['c', '']
    ])
    const packet = encoded({ contentType: 'a/b', correlationData: Uint8Array.of(1), payloadFormatIndicator: true, messageExpiryInterval: 1.5 })
    expect(packet.properties).toEqual({ contentType: 'a/b', correlationData: Buffer.from([1]), payloadFormatIndicator: true })
    expect(packet.messageExpiryInterval).toBe(1)
  })

  test('stay out of MQTT 3.1.1', () => {
    expect(encoded({ contentType: 'a/b', messageExpiryInterval: 3 }, 4)).toMatchObject({ properties: {}, messageExpiryInterval: undefined })
  })

  test('arrive by name, with all values of a repeated one', () => {
    const packet = encoded({ userProperties: { a: ['1', '2'], __proto__x: 'y' }, messageExpiryInterval: 7 })
    expect(inbound(packet).properties).toEqual({ userProperties: { a: ['1', '2'], __proto__x: 'y' }, messageExpiryInterval: 7 })
  })

  test.each([
    [{ contentType: 'a\0b' }],
    [{ responseTopic: 'x'.repeat(70_000) }],
    [{ userProperties: { a: 'é'.repeat(40_000) } }],
    [{ correlationData: new Uint8Array(70_000) }],
    [{ messageExpiryInterval: -1 }]
  ])('that MQTT cannot carry are refused', properties => {
    expect(() => encoded(properties)).toThrow(expect.objectContaining({ status: 400, code: 'bad-property' }))
  })
})
