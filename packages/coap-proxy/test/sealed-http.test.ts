// OSCORE over HTTP to a server of CoAP (RFC 8613 section 11): the proxy maps the header field to the option, and back.
import { createSocket } from 'node:dgram'
import { App, reply } from '@iopa/appbuilder'
import { cache } from '@iopa/cache'
import { coap } from '@iopa/coap'
import { coapProxy } from '@iopa/coap-proxy'
import { http } from '@iopa/http'
import { oscore } from '@iopa/oscore'
import { router } from '@iopa/router'
import { DEFAULT_LIMITS, type PlainMessage, systemClock } from '@iopa/transport'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decode, encode } from '../../iopa-coap/src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../../iopa-coap/src/codec/message.ts'
import { Options } from '../../iopa-coap/src/codec/options.ts'

const masterSecret = Buffer.alloc(16, 5)
const [own, other] = [Buffer.from([0]), Buffer.from([1])]
const NOTHING = new Uint8Array(0)
const SEALED = Buffer.from('0907011361f70fd297b1', 'hex')

let runs = 0
let base = ''
let scripted = ''
const received: ReceivedMessage[] = []
const raw = createSocket('udp4')
const protect = oscore({ contexts: [{ id: 'ann', masterSecret, senderId: own, recipientId: other }], require: true })
const server = new App({ logger: false }).use(router()).use(coap({ port: 0, protect }))
server.get('/orders', ({ user }) => `Exterminate! Exterminate! ${user?.id} ${++runs}`)
server.put('/orders', async context => reply(204, null, { 'x-length': String((await context.bytes()).length) }))
const app = new App({ logger: false })

beforeAll(async () => {
  await new Promise<void>(resolve => raw.bind(0, '127.0.0.1', resolve))
  raw.on('message', (bytes, { port, address }) => {
    const message = decode(bytes) as ReceivedMessage
    received.push(message)
    const { id, token } = message
    raw.send(
      encode({ type: TYPE.ACK, code: 0x44, id, token, options: new Options().add(9, NOTHING), payload: Buffer.from('0031d1fc', 'hex') }),
      port,
      address
    )
  })
  const [things] = await server.listen()
  const targets = [things!.url.href, `coap://127.0.0.1:${raw.address().port}`]
  app.use(cache()).use(coapProxy({ client: app, targets }))
  app.use(coap({ port: 0 })).use(http({ port: 0 }))
  const web = (await app.listen()).map(({ url }) => url.href).find(url => url.startsWith('http'))!
  base = `${web}hc/coap/${things!.url.host}/`
  scripted = `${web}hc/coap/127.0.0.1:${raw.address().port}/`
})
afterAll(async () => {
  raw.close()
  await app.close()
  await server.close()
})

const post = (url: string, field: string, body: Uint8Array, init: RequestInit = {}): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/oscore', oscore: field }, body: new Uint8Array(body), ...init })

describe('a request with the header field OSCORE', () => {
  test('is the POST of RFC 8613 section 11.5, and its response the one there', async () => {
    const answer = await post(scripted, 'CSU', SEALED)
    const message = received.at(-1)!
    expect(message.code).toBe(0x02)
    expect(Buffer.from(message.options.get(9)!).toString('hex')).toBe('0925')
    expect(Buffer.from(message.payload).toString('hex')).toBe('0907011361f70fd297b1')
    // Neither Content-Format nor Accept; Hop-Limit is of this proxy.
    expect([...message.options].map(([number]) => number)).toEqual([9, 16])
    expect([answer.status, answer.headers.get('content-type'), answer.headers.get('oscore')]).toEqual([200, 'application/oscore', 'AA'])
    expect(Buffer.from(await answer.arrayBuffer()).toString('hex')).toBe('0031d1fc')
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  test('has an empty option for AA', async () => {
    await post(scripted, 'AA', SEALED)
    expect(received.at(-1)!.options.get(9)).toHaveLength(0)
  })

  test('is refused with 400 where it is no POST of application/oscore with one field in base64url without padding', async () => {
    const before = received.length
    const wrong: RequestInit[] = [
      { method: 'PUT' },
      { headers: { oscore: 'CSU' } },
      { headers: { 'content-type': 'application/json', oscore: 'CSU' } },
      { headers: { 'content-type': 'application/oscore' } },
      ...['', 'C', 'CSU=', 'CS+', 'CSV', 'C S', 'A'.repeat(701)].map(field => ({ headers: { 'content-type': 'application/oscore', oscore: field } })),
      {
        headers: [
          ['content-type', 'application/oscore'],
          ['oscore', 'CSU'],
          ['oscore', 'CSU']
        ]
      }
    ]
    for (const init of wrong) expect((await post(scripted, 'CSU', SEALED, init)).status, JSON.stringify(init)).toBe(400)
    expect(received).toHaveLength(before)
  })
})

test('an HTTP client and a server of CoAP speak OSCORE through the proxy, with new keys first, and nothing is kept on the way', async () => {
  const logger = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined } as never
  const url = new URL('coap://server.example')
  const contexts = [{ id: 'server', masterSecret, senderId: other, recipientId: own, servers: [url.href] }]
  const client = await oscore({ contexts }).start({ clock: systemClock, limits: DEFAULT_LIMITS, logger })
  let posts = 0
  /** As an HTTP endpoint does it (RFC 8613 section 11.4). */
  const send = async (code: number, payload: Uint8Array = NOTHING): Promise<PlainMessage> => {
    for (let echo: PlainMessage['options'] = []; ; posts++) {
      const request = await client.requests(url)!.protect({ code, options: [[11, Buffer.from('orders')], ...echo], payload })
      const field = Buffer.from(request.message.options.find(([number]) => number === 9)![1]).toString('base64url')
      const answer = await post(base, field, request.message.payload)
      const option = answer.headers.get('oscore')
      const body = new Uint8Array(await answer.arrayBuffer())
      const options = option === null ? [] : [[9, option === 'AA' ? NOTHING : new Uint8Array(Buffer.from(option, 'base64url'))] as const]
      const opened = (await request.open({ code: answer.status === 200 ? 0x44 : 0x81, options, payload: body }))!
      echo = opened.options.filter(([number]) => number === 252)
      if (opened.code !== 0x81 || posts > 3) return opened
    }
  }
  expect(Buffer.from((await send(0x01)).payload).toString()).toBe('Exterminate! Exterminate! ann 1')
  expect(Buffer.from((await send(0x01)).payload).toString()).toBe('Exterminate! Exterminate! ann 2')
  expect((await send(0x03, Buffer.alloc(900))).code).toBe(0x44)
  expect(posts).toBe(1)
  // What the server cannot open is an answer without the field.
  const refused = await post(base, Buffer.from('090701', 'hex').toString('base64url'), SEALED)
  expect([refused.status, refused.headers.get('oscore')]).toEqual([400, null])
  await client.close()
})
