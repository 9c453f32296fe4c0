import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('writing', () => {
  test('everything that one read produces leaves in one write per connection', async () => {
    const net = await lab()
    const client = await net.client({ version: 4 })
    await client.subscribe('a/#', { qos: 1 })
    const publisher = await net.dial(4)
    publisher.send({ cmd: 'connect', clientId: 'p', protocolVersion: 4, clean: true, keepalive: 0 })
    await publisher.next('connack')
    let chunks = 0
    const bytes: Buffer[] = []
    for (let id = 1; id <= 20; id++) {
      bytes.push(Buffer.from([0x32, 8, 0, 3, 97, 47, 98, 0, id, 120]))
      bytes.push(Buffer.from([0x30, 6, 0, 3, 97, 47, 98, 120]))
    }
    client.onChunk = () => void chunks++
    publisher.sendBytes(Buffer.concat(bytes))
    expect((await client.messages()).length).toBe(40)
    expect(chunks).toBe(1)
  })
})
