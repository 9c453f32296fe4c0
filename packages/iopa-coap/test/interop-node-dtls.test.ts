// node-dtls-client as the client: pre-shared keys alone, a full handshake each time, no resumption and no retransmission.
import { once } from 'node:events'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { router } from '@iopa/router'
import { dtls as foreign } from 'node-dtls-client'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode } from '../src/codec/datagram-codec.ts'
import type { Message } from '../src/codec/message.ts'
import { rawRequest } from './raw-peer.ts'

const KEY = 'a key of 16 byte'

const serve = async () => {
  const app = new App({ logger: false }).use(router()).use(coap({ port: 0, dtls: dtls({ psk: { sensor: Buffer.from(KEY) } }) }))
  app.get('/whoami', ({ user }) => `${user?.id} by ${user?.by}`)
  const [listener] = await app.listen()
  return { app, port: Number(listener!.url.port), [Symbol.asyncDispose]: () => app.close({ timeout: 0 }) }
}

type Suite = NonNullable<foreign.Options['ciphers']>[number]

const connect = (port: number, key: string, ciphers: Suite[], timeout = 4000): foreign.Socket =>
  foreign.createSocket({ type: 'udp4', address: '127.0.0.1', port, psk: { sensor: key }, timeout, ciphers })

/** Resolves with what has happened to the socket, in words. */
const outcome = (socket: foreign.Socket): Promise<string> =>
  new Promise(resolve => {
    socket.once('connected', () => resolve('connected'))
    socket.once('error', ({ message }: Error) => resolve(message))
  })

const ask = async (socket: foreign.Socket, token: string): Promise<string> => {
  const answer = once(socket, 'message')
  socket.send(Buffer.from(rawRequest(CODE.GET, { token, path: '/whoami' })))
  const [bytes] = (await answer) as [Buffer]
  const { code, payload } = decode(bytes) as Message
  return `${formatCode(code)} ${Buffer.from(payload).toString()}`
}

describe("our server and node-dtls-client's client", () => {
  test.each<[string, ...Suite[]]>([
    ['AES_128_CCM_8', 'TLS_PSK_WITH_AES_128_CCM_8'],
    ['AES_128_CCM', 'TLS_PSK_WITH_AES_128_CCM'],
    ['AES_128_GCM', 'TLS_PSK_WITH_AES_128_GCM_SHA256'],
    ['one of several suites', 'TLS_PSK_WITH_AES_128_CBC_SHA256', 'TLS_PSK_WITH_AES_128_CCM_8']
  ])('exchange requests with %s', async (_, ...suites) => {
    await using own = await serve()
    const socket = connect(own.port, KEY, suites)
    expect(await outcome(socket)).toBe('connected')
    for (const token of ['1', '2']) expect(await ask(socket, token)).toBe('2.05 sensor by psk')
    expect(own.app.counters().coap).toMatchObject({ connections: 1 })
    const closed = once(socket, 'close')
    socket.close()
    await closed
    await expect.poll(() => own.app.counters().coap).toMatchObject({ connections: 0 })
  })

  test('have no session with a wrong key', async () => {
    await using own = await serve()
    // Our server waits for a Finished that verifies, since anyone can forge one; node-dtls-client sends its own once.
    expect(await outcome(connect(own.port, 'another 16 bytes', ['TLS_PSK_WITH_AES_128_CCM_8'], 600))).toBe('The DTLS handshake timed out')
    expect(own.app.counters().coap).toMatchObject({ connections: 0 })
  })

  test('have no session without a common suite', async () => {
    await using own = await serve()
    expect(await outcome(connect(own.port, KEY, ['TLS_PSK_WITH_AES_128_CBC_SHA256']))).toBe('received fatal alert: handshake_failure')
  })
})
