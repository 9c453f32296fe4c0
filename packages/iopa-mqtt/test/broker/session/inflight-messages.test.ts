import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const persistent = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }

describe('an acknowledgement', () => {
  test.each([
    ['PUBACK', 'puback', 2],
    ['PUBCOMP', 'pubcomp', 1],
    ['PUBREC', 'pubrec', 1]
  ] as const)('%s of a message of another QoS is a protocol error', async (_name, cmd, qos) => {
    const net = await lab()
    const client = await net.client({ ...persistent, acknowledges: false })
    await client.subscribe('a', { qos })
    const publisher = await net.client()
    publisher.publish('a', 'x', { qos, messageId: 1 })
    const { messageId = 0 } = await client.next('publish')
    client.send({ cmd, messageId })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
    // It has acknowledged nothing.
    expect(await (await net.client(persistent)).messages()).toEqual(['a x'])
  })

  test('PUBCOMP of a message that was not released is a protocol error', async () => {
    const net = await lab()
    const client = await net.client({ acknowledges: false })
    await client.subscribe('a', { qos: 2 })
    await net.transport.publish('a', 'x', { qos: 2 })
    const { messageId = 0 } = await client.next('publish')
    client.send({ cmd: 'pubcomp', messageId })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  test.each([
    [0, 'PUBREL with 0x92', [{ cmd: 'pubrel', messageId: 5, reasonCode: 0x92 }]],
    [0x80, 'nothing', []]
  ] as const)('PUBREC with reason code %i of an unknown message is answered by %s', async (reasonCode, _name, packets) => {
    const net = await lab()
    const client = await net.client()
    client.send({ cmd: 'pubrec', messageId: 5, reasonCode })
    await net.rest()
    expect(client.packets).toMatchObject(packets)
  })
})

describe('retransmission after a reconnect', () => {
  test('has not expired, unless its receiver may have half of the exchange already', async () => {
    const net = await lab()
    const first = await net.client({ ...persistent, acknowledges: false })
    await first.subscribe('a/#', { qos: 2 })
    const publisher = await net.client()
    const properties = { messageExpiryInterval: 5 }
    publisher.publish('a/1', 'x', { qos: 1, messageId: 1, properties })
    publisher.publish('a/2', 'x', { qos: 2, messageId: 2, properties })
    await net.rest()
    expect((await first.messages()).length).toBe(2)
    await first.vanish()
    await net.rest(10_000)
    const second = await net.client(persistent)
    expect(await second.messages()).toEqual(['a/2 x'])
  })
})
