import { oscore } from '@iopa/oscore'
import { virtualClock } from '@iopa/testing'
import type { MessageOption } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { hex, text } from './bytes.ts'
import {
  CLIENT,
  CONTENT,
  exchange,
  GET,
  isOpened,
  KEYS,
  MemoryStore,
  mustOpen,
  NO_BYTES,
  open,
  plain,
  protect,
  SERVER,
  SERVER_URL,
  SILENT,
  SOURCE,
  startPeer
} from './peers.ts'

const pair = async () => {
  const clock = virtualClock({ start: 1_000_000 })
  const client = await startPeer({ contexts: [CLIENT], store: new MemoryStore() }, clock)
  const server = await startPeer({ contexts: [SERVER], store: new MemoryStore() }, clock)
  await clock.advance(1000)
  return { clock, client, server }
}

describe('an exchange', () => {
  test('runs no handler for the first request after a start before it has a fresh Echo', async () => {
    const { client, server } = await pair()
    let handled = 0
    const { answer, sent, received } = await exchange(client, server, GET('light'), () => {
      handled++
      return CONTENT('on')
    })
    expect(text(answer.payload)).toBe('on')
    expect([sent.length, handled]).toEqual([2, 1])
    // The challenge has a Partial IV of the server, the response to the second request needs none.
    expect(received.map(({ options }) => options.find(([number]) => number === 9)![1].length)).toEqual([4, 0])
    expect((await exchange(client, server, GET('light'))).sent).toHaveLength(1)
  })

  test('names the user and one association for all its requests', async () => {
    const { client, server } = await pair()
    await exchange(client, server, GET('light'))
    const first = await mustOpen(server, (await protect(client, GET('light'))).message)
    const second = await mustOpen(server, (await protect(client, GET('light'))).message)
    expect(first.user).toEqual({ id: 'client', by: 'oscore' })
    expect(first.association).toBe(second.association)
    expect(first.association.id).not.toContain('client')
  })

  test('hides code, inner options and payload, and shows the options for proxies', async () => {
    const { client, server } = await pair()
    await exchange(client, server, GET('light'))
    const options: MessageOption[] = [
      [1, hex('aa')],
      [3, Buffer.from('sensor.example')],
      [7, hex('1633')],
      [11, Buffer.from('light')],
      [12, hex('')],
      [16, hex('05')],
      [258, hex('02')],
      [2048, hex('01')],
      [2053, hex('02')]
    ]
    const { message } = await protect(client, { code: 0x03, options, payload: Buffer.from('on') })
    expect(message.code).toBe(0x02)
    expect(message.options.map(([number]) => number)).toEqual([3, 7, 9, 16, 258])
    const opened = await mustOpen(server, message)
    expect(plain(opened.message)).toEqual(plain({ code: 0x03, options, payload: Buffer.from('on') }))
  })

  test('discards outer options that are not for an endpoint, whether known or not', async () => {
    const { client, server } = await pair()
    await exchange(client, server, GET('light'))
    const { message } = await protect(client, GET('light'))
    const added: MessageOption[] = [
      [1, hex('aa')],
      [6, hex('')],
      [11, Buffer.from('other')],
      [27, hex('08')],
      [258, hex('1a')],
      [2049, hex('01')]
    ]
    const opened = await mustOpen(server, { ...message, code: 0x05, options: [...message.options, ...added].sort(([one], [other]) => one - other) })
    expect(plain(opened.message)).toEqual(plain(GET('light')))
  })

  test('splits a Proxy-Uri into what the proxy needs and what it must not see', async () => {
    const { client, server } = await pair()
    await exchange(client, server, GET('light'))
    const { message } = await protect(client, { code: 0x01, options: [[35, Buffer.from('coap://example.com/a%20b/c?q=1')]], payload: NO_BYTES })
    expect(message.options.filter(([number]) => number === 35).map(([, value]) => text(value))).toEqual(['coap://example.com'])
    const opened = await mustOpen(server, message)
    expect(opened.message.options.map(([number, value]) => [number, text(value)])).toEqual([
      [11, 'a b'],
      [11, 'c'],
      [15, 'q=1'],
      [35, 'coap://example.com']
    ])
  })

  test('uses AES-128-GCM where both peers say so', async () => {
    const client = await startPeer({ contexts: [{ ...CLIENT, algorithm: 'A128GCM' }] })
    const server = await startPeer({ contexts: [{ ...SERVER, algorithm: 'A128GCM' }] })
    expect(text((await exchange(client, server, GET('light'))).answer.payload)).toBe('hello')
    const other = await startPeer({ contexts: [SERVER] })
    expect(isOpened(await open(other, (await protect(client, GET('light'))).message))).toBe(false)
  })

  test('works in both roles with one context', async () => {
    const { client, server } = await pair()
    await exchange(client, server, GET('light'))
    const both = await startPeer({ contexts: [{ ...SERVER, servers: [SERVER_URL.href] }] })
    const other = await startPeer({ contexts: [CLIENT] })
    expect(text((await exchange(both, other, GET('light'))).answer.payload)).toBe('hello')
    expect(text((await exchange(other, both, GET('light'))).answer.payload)).toBe('hello')
    expect(text((await exchange(both, other, GET('light'))).answer.payload)).toBe('hello')
  })
})

describe('one value of oscore()', () => {
  test('shares its state between all that use it, until the last one closes', async () => {
    const store = new MemoryStore()
    const value = oscore({ contexts: [CLIENT], store })
    const environment = { clock: virtualClock(), limits: {} as never, logger: SILENT }
    const first = await value.start(environment)
    const second = await value.start(environment)
    expect(store.opened).toBe(1)
    expect(first.requests(SERVER_URL)).toBe(second.requests(SERVER_URL))
    await first.close()
    await first.close()
    expect(store.opened).toBe(1)
    await second.close()
    expect(store.opened).toBe(0)
    expect((await value.start(environment)).requests(SERVER_URL)).toBeDefined()
  })

  test('finds the context of a server by host and port', async () => {
    const peer = await startPeer({ contexts: [CLIENT] })
    for (const url of ['coap://sensor.example/a', 'coap://SENSOR.example:5683', 'coap+tcp://sensor.example'])
      expect(peer.requests(new URL(url)), url).toBeDefined()
    for (const url of ['coap://sensor.example:5684', 'coap://other.example']) expect(peer.requests(new URL(url)), url).toBeUndefined()
  })

  test('refuses unprotected requests for the paths that require names', async () => {
    const all = oscore({ contexts: [SERVER], require: true })
    const some = oscore({ contexts: [SERVER], require: path => path.startsWith('/doors') })
    expect([all.exclusive, some.exclusive, oscore({ contexts: [SERVER] }).exclusive]).toEqual([true, false, false])
    const peer = await startPeer({ contexts: [SERVER], require: path => path === '/doors' })
    expect([peer.requires('/doors'), peer.requires('/lights')]).toEqual([true, false])
    expect(await peer.open(GET('doors'), SOURCE)).toBeUndefined()
  })
})

test('a revoked user is not opened any more, and its answers are not protected', async () => {
  const { client, server } = await pair()
  await exchange(client, server, GET('light'))
  const opened = await mustOpen(server, (await protect(client, GET('light'))).message)
  server.revoke(({ id }) => id === 'client')
  expect(() => opened.protect(CONTENT('late'), 'response')).toThrow(expect.objectContaining({ code: 'association-ended' }))
  expect(await open(server, (await protect(client, GET('light'))).message)).toMatchObject({ code: 'oscore-unknown-context' })
  await client.close()
  await expect(async () => protect(client, GET('light'))).rejects.toThrow()
})

test('keys of 16 bytes and more are accepted, and all ids that the nonce has room for', async () => {
  const ids = { senderId: hex('01020304050607'), recipientId: hex('') }
  const client = await startPeer({ contexts: [{ ...CLIENT, ...KEYS, ...ids }] })
  const server = await startPeer({ contexts: [{ ...SERVER, senderId: ids.recipientId, recipientId: ids.senderId }] })
  expect(text((await exchange(client, server, GET('light'))).answer.payload)).toBe('hello')
})
