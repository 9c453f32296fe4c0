import { App, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { seededRandom } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { decode, encode } from '../src/codec/datagram-codec.ts'
import { etagHeader, etagOption } from '../src/codec/etag.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { CLIENT, virtualHome } from './virtual-home.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const tags = [
  '01fe',
  '00',
  'ff',
  '7f',
  '20',
  '22',
  '0102',
  '30316665',
  '3061',
  '61',
  '6162',
  '12345678',
  '3078303166',
  '0000000000000000',
  'ffffffffffffffff',
  '6465616462656566',
  '3132333435363738'
]

describe('an entity tag', () => {
  test('of CoAP comes back as the same bytes, whatever they are', () => {
    const random = seededRandom(3)
    const some = Array.from({ length: 5000 }, (_, n) =>
      Uint8Array.from({ length: (n % 8) + 1 }, () => (n % 3 === 0 ? 48 + Math.floor(random() * 60) : Math.floor(random() * 256)))
    )
    for (const tag of [...tags.map(text => Uint8Array.from(Buffer.from(text, 'hex'))), ...some])
      expect(hex(etagOption(etagHeader(tag)))).toBe(hex(tag))
  })

  test('of an app is a text where it can be one, and comes back as it was', () => {
    for (const text of ['v1', '42', '12345678', 'abc', 'ab', 'deadbeef', 'W', '0x', '0xzz', '0x1f', 'A1B2'])
      expect(etagHeader(etagOption(`"${text}"`))).toBe(`"${text}"`)
    expect(Buffer.from(etagOption('"12345678"')).toString()).toBe('12345678')
    expect(etagOption('"a longer one than eight"')).toHaveLength(8)
  })

  test.each(tags)('%s of a foreign server matches when our client asks again', async tag => {
    const home = await virtualHome()
    const own = Uint8Array.from(Buffer.from(tag, 'hex'))
    const channel = await home.network.machine('10.0.0.7').bind({ host: '10.0.0.7', port: 5683 })
    channel.open({
      message: (bytes, address, port) => {
        const { id, token, options } = decode(bytes) as ReceivedMessage
        const asked = [...options.getAll(OPTION.ETAG), ...options.getAll(OPTION.IF_MATCH)].some(value => hex(value) === tag)
        const answer = {
          type: TYPE.ACK,
          code: asked ? CODE.VALID : CODE.CONTENT,
          id,
          token,
          options: new Options().add(OPTION.ETAG, own),
          payload: new Uint8Array()
        }
        channel.send(encode(answer), port, address)
      },
      error: () => undefined
    })
    const app = new App({ logger: false, clock: home.clock }).use(coap({ clock: home.clock, network: home.network.machine(CLIENT) }))
    const client = await home.clock.runUntil(app.connect('coap://10.0.0.7'))
    const first = await home.clock.runUntil(client.get('/x'))
    const etag = first.headers.get('etag')!
    expect((await home.clock.runUntil(client.get('/x', { headers: { 'if-none-match': etag } }))).status).toBe(304)
    expect((await home.clock.runUntil(client.put('/x', 'y', { headers: { 'if-match': etag } }))).status).toBe(304)
    await home.clock.runUntil(app.close())
    await home.close()
  })

  test('that a handler makes matches the one that it gets, for a client that knows bytes alone', async () => {
    const home = await virtualHome()
    const seen: (string | undefined)[] = []
    const server = new App({ logger: false, clock: home.clock })
      .use(router())
      .use(coap({ host: '10.0.0.8', allowUnauthenticated: true, clock: home.clock, network: home.network.machine('10.0.0.8') }))
    for (const [at, etag] of ['"deadbeef"', '"0x01fe"', '"v1"', '"0f1e9d8c"'].entries())
      server.get(`/${at}`, ({ headers }) => {
        seen.push(headers.get('if-none-match'))
        return headers.get('if-none-match') === etag ? reply(304, undefined, { etag }) : reply(200, 'body', { etag })
      })
    await server.listen()
    const client = await home.clock.runUntil(
      new App({ logger: false, clock: home.clock }).use(coap({ clock: home.clock, network: home.network.machine(CLIENT) })).connect('coap://10.0.0.8')
    )
    for (let at = 0; at < 4; at++) {
      const etag = (await home.clock.runUntil(client.get(`/${at}`))).headers.get('etag')!
      expect((await home.clock.runUntil(client.get(`/${at}`, { headers: { 'if-none-match': etag } }))).status).toBe(304)
      expect(seen.at(-1)).toBe(etag)
    }
    await home.clock.runUntil(client.close())
    await home.clock.runUntil(server.close({ timeout: 1000 }))
    await home.close()
  })
})
