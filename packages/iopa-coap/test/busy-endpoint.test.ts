import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { rawRequest } from './raw-peer.ts'
import { SERVER, virtualHome } from './virtual-home.ts'

describe('an endpoint that asks for much', () => {
  test.each([
    ['confirmable', TYPE.CON],
    ['non-confirmable', TYPE.NON]
  ])('has a %s POST handled once, however much it is answered within the life of an id', async (_, type) => {
    const home = await virtualHome()
    const client = await home.connect()
    await home.clock.runUntil(client.put('/body/large', new Uint8Array(1000).fill(65)))
    const channel = await home.network.machine('10.0.0.7').bind({ host: '10.0.0.7', port: 0 })
    const inbox: ReceivedMessage[] = []
    channel.open({ message: bytes => inbox.push(decode(bytes) as ReceivedMessage), error: () => undefined })
    const posts = Array.from({ length: 30 }, (_, n) => rawRequest(CODE.POST, { type, id: n, token: `p${n}`, path: `/count/${n}` }))
    for (const post of posts) channel.send(post, 5683, SERVER)
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 250; i++)
        channel.send(
          rawRequest(i % 2 === 0 ? CODE.GET : CODE.POST, { id: 100 + second * 250 + i, path: i % 2 === 0 ? '/body/large' : '/count/x' }),
          5683,
          SERVER
        )
      await home.clock.advance(1000)
    }
    await home.clock.advance(80_000)
    inbox.length = 0
    for (const post of posts) channel.send(post, 5683, SERVER)
    await home.clock.advance(1000)
    for (let n = 0; n < 30; n++) expect(home.handled.get(`${n}`)).toBe(1)
    if (type === TYPE.CON) {
      expect(inbox.map(({ code }) => formatCode(code))).toEqual(posts.map(() => '2.04'))
      expect(inbox.map(({ token }) => Buffer.from(token).toString())).toEqual(posts.map((_, n) => `p${n}`))
    }
    await home.clock.advance(247_000)
    channel.send(posts[0]!, 5683, SERVER)
    await home.clock.advance(1000)
    expect(home.handled.get('0')).toBe(2)
    await home.close()
  })

  test('has it handled once where answers are large and the budget of all answers is used up', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    await home.clock.runUntil(client.put('/body/large', new Uint8Array(1000).fill(65)))
    const channel = await home.network.machine('10.0.0.7').bind({ host: '10.0.0.7', port: 0 })
    channel.open({ message: () => undefined, error: () => undefined })
    const post = rawRequest(CODE.POST, { id: 1, path: '/count/one' })
    channel.send(post, 5683, SERVER)
    for (let i = 0; i < 40_000; i++) {
      channel.send(rawRequest(CODE.GET, { id: 2 + i, path: '/body/large' }), 5683, SERVER)
      if (i % 1000 === 0) await home.clock.advance(500)
    }
    await home.clock.advance(1000)
    channel.send(post, 5683, SERVER)
    await home.clock.advance(1000)
    expect(home.handled.get('one')).toBe(1)
    await home.close()
  }, 60_000)
})
