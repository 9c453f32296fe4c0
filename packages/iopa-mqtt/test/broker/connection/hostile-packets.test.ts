import { generate } from 'mqtt-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const connect = (version: 4 | 5 = 5): Buffer => generate({ cmd: 'connect', clientId: 'x', protocolVersion: version, clean: true, keepalive: 0 })

const utf8 = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

const frame = (first: number, ...parts: (Buffer | number[])[]): Buffer => {
  const body = Buffer.concat(parts.map(part => Buffer.from(part)))
  return Buffer.concat([Buffer.from([first, body.length]), body])
}

describe('a hostile first packet', () => {
  test.each([
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['TLS', Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])],
    ['a PUBLISH', frame(0x30, utf8('a'), [0])],
    ['flags that are not those of CONNECT', Buffer.concat([Buffer.from([0x1f]), connect(4).subarray(1)])],
    ['a length of five bytes', Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 0x7f])],
    ['a length of 256 MB', Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f])],
    ['CONNECT above 16 KiB', Buffer.from([0x10, 0x81, 0x80, 0x01])],
    ['a CONNECT cut short', frame(0x10, utf8('MQTT'), [4, 2, 0])],
    ['a will of QoS 3', frame(0x10, utf8('MQTT'), [4, 0x1e, 0, 0], utf8('c'), utf8('w'), utf8(''))],
    ['a client identifier that is not UTF-8', frame(0x10, utf8('MQTT'), [4, 2, 0, 0], utf8(Buffer.from([0xff, 0xfe])))]
  ])('that is %s closes the connection at once', async (_name, bytes) => {
    const net = await lab()
    const client = await net.dial(4)
    client.sendBytes(bytes)
    await net.clock.runUntil(() => client.closed, 100)
    expect(client.packets).toEqual([])
  })

  test('of MQTT 5 that is malformed gets a reason code', async () => {
    const net = await lab()
    const client = await net.dial(5)
    client.sendBytes(frame(0x10, utf8('MQTT'), [5, 2, 0, 0], [3, 33, 0, 0], utf8('c')))
    expect(await client.next('connack')).toMatchObject({ reasonCode: 0x82 })
    await net.clock.runUntil(() => client.closed, 100)
  })

  test('that never comes is not waited for', async () => {
    const net = await lab(undefined, { limits: { headerTimeout: 5000 } })
    const silent = await net.dial(4)
    const half = await net.dial(4)
    half.sendBytes(connect().subarray(0, 10))
    await net.rest(4000)
    expect([silent.closed, half.closed]).toEqual([false, false])
    await net.clock.runUntil(() => silent.closed && half.closed, 2000)
  })
})

describe('a hostile later packet', () => {
  test.each([
    ['QoS 3', frame(0x36, utf8('a'), [0, 1, 0]), 0x81],
    ['packet identifier 0', frame(0x32, utf8('a'), [0, 0, 0]), 0x81],
    ['a topic with NUL', frame(0x30, utf8('a\0b'), [0]), 0x90],
    ['a topic that is not UTF-8', frame(0x30, utf8(Buffer.from([0xc3, 0x28])), [0]), 0x90],
    ['a topic with a wildcard', frame(0x30, utf8('a/+'), [0]), 0x90],
    ['no topic at all', frame(0x30, utf8(''), [0]), 0x82],
    ['a second CONNECT', connect(), 0x82],
    ['a packet of servers', frame(0x20, [0, 0, 0]), 0x82],
    ['packet type 0', frame(0x00), 0x82],
    ['a SUBSCRIBE without filters', frame(0x82, [0, 1, 0]), 0x82],
    ['a SUBSCRIBE with bad flags', frame(0x80, [0, 1, 0], utf8('a'), [0]), 0x81],
    ['PUBREL with bad flags', frame(0x60, [0, 1]), 0x82],
    ['a property twice', frame(0x30, utf8('a'), [4, 1, 0, 1, 0]), 0x82],
    ['AUTH out of place', frame(0xf0, [0x18, 0]), 0x82]
  ])('with %s ends the connection with its reason', async (_name, bytes, reasonCode) => {
    const net = await lab()
    const client = await net.client()
    client.sendBytes(bytes)
    expect(await client.next('disconnect')).toMatchObject({ reasonCode })
    await net.clock.runUntil(() => client.closed, 100)
    const four = await net.client({ version: 4 })
    four.sendBytes(frame(0x36, utf8('a'), [0, 1]))
    await net.clock.runUntil(() => four.closed, 100)
    expect(four.packets).toEqual([])
  })

  test('after a packet that ended the connection is not handled', async () => {
    const net = await lab()
    const observer = await net.client()
    await observer.subscribe('#')
    const client = await net.client()
    client.sendBytes(Buffer.concat([frame(0x30, utf8('a'), [0], [49]), frame(0x36, utf8('a'), [0, 1, 0]), frame(0x30, utf8('a'), [0], [50])]))
    expect(await observer.messages()).toEqual(['a 1'])
  })

  test('that names what objects have anyway is a name like any other', async () => {
    const net = await lab()
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      const client = await net.client({ clientId: name, properties: { userProperties: { [name]: 'x' } } })
      await client.subscribe([name, `${name}/+`, '+/+'])
      await client.put(name, 'x', { retain: true, properties: { userProperties: { [name]: 'y' } } })
      await client.put(`${name}/${name}`, 'z')
      expect(await client.messages()).toEqual([`${name} x`, `${name}/${name} z`])
    }
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })
})
