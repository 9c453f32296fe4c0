import { IopaError } from '@iopa/appbuilder'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('the maximum packet size', () => {
  test('of the server ends the connection before the packet is buffered', async () => {
    const net = await lab(undefined, { limits: { body: 1000 } })
    const { client, connack } = await net.connect()
    expect(connack.properties).toMatchObject({ maximumPacketSize: 1000 + 65_536 })
    client.sendBytes(Buffer.from([0x30, 0xff, 0xff, 0x7f]))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x95 })
    const large = await net.dial(4)
    large.sendBytes(Buffer.from([0x10, 0xff, 0xff, 0x7f]))
    await net.clock.runUntil(() => large.closed, 100)
  })

  test('of the client leaves out messages that are larger, and counts them as delivered', async () => {
    const net = await lab()
    const client = await net.client({ properties: { maximumPacketSize: 100, receiveMaximum: 1 } })
    await client.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    for (const payload of ['1', 'x'.repeat(100), '2']) await publisher.put('a', payload)
    publisher.publish('a', 'x'.repeat(100))
    publisher.publish('a', '3')
    expect(await client.messages()).toEqual(['a 1', 'a 2', 'a 3'])
  })

  test('of the client leaves out the reason string that does not fit', async () => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'PUT') throw new IopaError(422, 'bad', 'y'.repeat(200))
        return next()
      })
    )
    const client = await net.client({ properties: { maximumPacketSize: 100 } })
    expect((await client.put('a', 'x')).properties).toBeUndefined()
    const other = await net.client({ properties: { requestProblemInformation: false } })
    expect((await other.put('a', 'x')).properties).toBeUndefined()
  })
})
