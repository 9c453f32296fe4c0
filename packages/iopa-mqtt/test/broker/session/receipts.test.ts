import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, type Lab, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

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

describe('a received QoS 2 message', () => {
  test('counts once against the receive maximum, in work or waiting for its release', async () => {
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

  test('is not accepted by MQTT 3 without end while none is released', async () => {
    const net = await lab()
    const client = await net.client({ version: 4 })
    for (let id = 1; id <= 1024; id++) client.publish('a', 'x', { qos: 2, messageId: id })
    await net.rest()
    expect(client.closed).toBe(false)
    client.publish('a', 'x', { qos: 2, messageId: 1025 })
    await net.rest()
    expect(client.closed).toBe(true)
  })

  test('that could not be handled is handled when a client of MQTT 3 sends it again', async () => {
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

  test('that was refused leaves its identifier to the next one', async () => {
    const { net, handled } = await worker([409])
    const client = await net.client()
    client.publish('work', 'x', { qos: 2, messageId: 7 })
    expect(await client.next('pubrec')).toMatchObject({ reasonCode: 0x83 })
    client.publish('work', 'y', { qos: 2, messageId: 7 })
    expect(await client.next('pubrec')).toMatchObject({ reasonCode: 0 })
    expect(handled()).toBe(2)
  })

  test('is not released while it is in work', async () => {
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
