// No-Response in a client (RFC 7967): what it sends, and when it has been done.

import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { RawPeer } from './raw-peer.ts'
import { SERVER, virtualHome } from './virtual-home.ts'

const NONE: readonly (readonly [number, number])[] = [[OPTION.NO_RESPONSE, 26]]
const ERRORS_ONLY: readonly (readonly [number, number])[] = [[OPTION.NO_RESPONSE, 2]]
const post = (options: readonly (readonly [number, number])[], more: object = {}) =>
  ({ 'iopa.Method': 'POST', 'iopa.Path': '/count/a', 'coap.Options': options, ...more }) as const

describe('a request with No-Response', () => {
  test('is done with 204 when the server has acknowledged it, and no answer comes', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const began = home.clock.now()
    const answer = await home.clock.runUntil(client.send(post(NONE)))
    expect([answer.status, answer['coap.Message'], home.handled.get('a')]).toEqual([204, undefined, 1])
    expect(home.clock.now() - began).toBeLessThan(200)
    const sent = home.network.trace.filter(({ from }) => from.address === SERVER).map(({ bytes }) => bytes.length)
    expect(sent).toEqual([4])
    await home.close()
  })

  test('is done at once where it asks for no acknowledgement', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const began = home.clock.now()
    expect((await client.send(post(NONE, { 'coap.Confirmable': false }))).status).toBe(204)
    expect(home.clock.now()).toBe(began)
    await home.clock.advance(1000)
    expect(home.handled.get('a')).toBe(1)
    await home.close()
  })

  test('waits two seconds for an error where it wants errors alone', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const began = home.clock.now()
    expect((await home.clock.runUntil(client.send(post(ERRORS_ONLY)))).status).toBe(204)
    expect(home.clock.now() - began).toBeGreaterThanOrEqual(2000)
    expect((await home.clock.runUntil(client.send(post(ERRORS_ONLY, { 'iopa.Path': '/nothing/here' })))).status).toBe(404)
    await home.close()
  })

  test('is refused with a body in blocks, each of which needs its answer', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const request = { 'iopa.Method': 'PUT', 'iopa.Path': '/body/1', 'iopa.Body': new Uint8Array(3000), 'coap.Options': NONE }
    const refused = client.send(request).catch((error: unknown) => error)
    expect(await home.clock.runUntil(refused)).toMatchObject({ status: 400, code: 'bad-coap-option', detail: expect.stringMatching(/1024 bytes/) })
    expect(home.network.trace).toEqual([])
    await home.close()
  })

  test('fails when nothing acknowledges it, and when its signal aborts', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    home.network.script = () => 'drop'
    const lost = client.send(post(NONE)).catch((error: unknown) => error)
    expect(await home.clock.runUntil(lost)).toMatchObject({ status: 504, code: 'timeout' })
    const reason = new Error('enough')
    const given = new AbortController()
    const aborted = client.send(post(NONE, { 'iopa.CallCancelled': given.signal })).catch((error: unknown) => error)
    given.abort(reason)
    expect(await aborted).toBe(reason)
    await home.close()
  })

  test('carries the option as it was given', async () => {
    const peer = await RawPeer.listening()
    const app = new App({ logger: false }).use(coap())
    const client = await app.connect(`coap://127.0.0.1:${peer.port}`)
    const answer = client.send(post(NONE))
    const request = await peer.next()
    expect([formatCode(request.code), request.type, request.options.uint(OPTION.NO_RESPONSE)]).toEqual([formatCode(CODE.POST), TYPE.CON, 26])
    peer.acknowledge(request)
    expect((await answer).status).toBe(204)
    await app.close({ timeout: 0 })
    peer.close()
  })
})
