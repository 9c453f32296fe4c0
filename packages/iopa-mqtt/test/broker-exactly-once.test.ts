import { router } from '@iopa/router'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLabs, type Lab, lab } from './broker/lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const persistent = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }

/** An app whose handler of `work` answers with these statuses in turn, each after so many milliseconds. */
const worker = async (statuses: number[], milliseconds = 0, limits = {}): Promise<{ net: Lab; handled: () => number }> => {
  let count = 0
  const net: Lab = await lab(
    app =>
      app.use(router()).put('/work', async context => {
        if (milliseconds > 0) await new Promise<void>(resolve => void net.clock.setTimeout(resolve, milliseconds))
        context.response.status = statuses[count++] ?? 204
      }),
    { limits }
  )
  return { net, handled: () => count }
}

describe('a message of QoS 2 that comes in', () => {
  it('counts once against the receive maximum, in work or waiting for its release', async () => {
    const { net, handled } = await worker([], 1000, { inFlightPerConnection: 3 })
    const client = await net.client()
    for (const id of [1, 2, 3]) client.publish('work', 'x', { qos: 2, messageId: id })
    await net.rest(5000)
    expect(client.closed).toBe(false)
    expect(handled()).toBe(3)
    client.send({ cmd: 'pubrel', messageId: 1 })
    await client.next('pubcomp')
    client.publish('work', 'x', { qos: 2, messageId: 4 })
    await net.rest(2000)
    expect(client.closed).toBe(false)
    client.publish('work', 'x', { qos: 2, messageId: 5 })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x93 })
  })

  it('is not accepted by MQTT 3 without end while none is released', async () => {
    const net = await lab()
    const client = await net.client({ version: 4 })
    for (let id = 1; id <= 1024; id++) client.publish('a', 'x', { qos: 2, messageId: id })
    await net.rest()
    expect(client.closed).toBe(false)
    client.publish('a', 'x', { qos: 2, messageId: 1025 })
    await net.rest()
    expect(client.closed).toBe(true)
  })

  it('that could not be handled is handled when a client of MQTT 3 sends it again', async () => {
    const { net, handled } = await worker([500])
    const first = await net.client({ version: 4, clientId: 'c', clean: false })
    first.publish('work', 'x', { qos: 2, messageId: 7 })
    await net.rest()
    expect(first.closed).toBe(true)
    const second = await net.client({ version: 4, clientId: 'c', clean: false })
    second.publish('work', 'x', { qos: 2, messageId: 7, dup: true })
    await second.next('pubrec')
    expect(handled()).toBe(2)
  })

  it('that was refused leaves its identifier to the next one', async () => {
    const { net, handled } = await worker([409])
    const client = await net.client()
    client.publish('work', 'x', { qos: 2, messageId: 7 })
    expect(await client.next('pubrec')).toMatchObject({ reasonCode: 0x83 })
    client.publish('work', 'y', { qos: 2, messageId: 7 })
    expect(await client.next('pubrec')).toMatchObject({ reasonCode: 0 })
    expect(handled()).toBe(2)
  })

  it('is not released while it is in work', async () => {
    const { net, handled } = await worker([], 1000)
    const client = await net.client()
    client.publish('work', 'x', { qos: 2, messageId: 7 })
    client.send({ cmd: 'pubrel', messageId: 7 })
    client.publish('work', 'x', { qos: 2, messageId: 7, dup: true })
    await net.rest(3000)
    expect(client.packets.map(packet => packet.cmd)).toEqual(['pubrec'])
    expect(handled()).toBe(1)
  })
})

describe('an acknowledgement', () => {
  it.each([
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

  it('PUBCOMP of a message that was not released is a protocol error', async () => {
    const net = await lab()
    const client = await net.client({ acknowledges: false })
    await client.subscribe('a', { qos: 2 })
    await net.transport.publish('a', 'x', { qos: 2 })
    const { messageId = 0 } = await client.next('publish')
    client.send({ cmd: 'pubcomp', messageId })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  it.each([
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

describe('what is sent again after a reconnect', () => {
  it('has not expired, unless its receiver may have half of the exchange already', async () => {
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
