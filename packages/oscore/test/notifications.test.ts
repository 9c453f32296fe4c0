import { virtualClock } from '@iopa/testing'
import type { ActiveProtection, MessageOption, OpenedRequest, PlainMessage, ProtectedRequest } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { text } from './bytes.ts'
import { CLIENT, CONTENT, exchange, GET, MemoryStore, mustOpen, NO_BYTES, protect, SERVER, startPeer } from './peers.ts'

const REGISTER: MessageOption = [6, NO_BYTES]
const optionOf = ({ options }: PlainMessage, wanted: number): Uint8Array | undefined => options.find(([number]) => number === wanted)?.[1]
const numberOf = (message: PlainMessage): number => [...optionOf(message, 6)!].reduce((number, byte) => number * 256 + byte, 0)
const changedByte = (message: PlainMessage): PlainMessage => ({
  ...message,
  payload: message.payload.map((byte, at) => (at === 0 ? byte ^ 1 : byte))
})

const observed = async (): Promise<{
  request: ProtectedRequest
  opened: OpenedRequest
  client: ActiveProtection
  server: ActiveProtection
  notify(payload: string): Promise<PlainMessage>
}> => {
  const clock = virtualClock({ start: 1_000_000 })
  const client = await startPeer({ contexts: [CLIENT], store: new MemoryStore() }, clock)
  const server = await startPeer({ contexts: [SERVER], store: new MemoryStore() }, clock)
  await clock.advance(1000)
  await exchange(client, server, GET('light'))
  const request = await protect(client, GET('light', [REGISTER]))
  const opened = await mustOpen(server, request.message)
  let count = 0
  return { request, opened, client, server, notify: async payload => opened.protect(CONTENT(payload, [[6, Uint8Array.of(++count)]]), 'notification') }
}

describe('an observation', () => {
  test('is a FETCH with 2.05 outside, with Observe on both sides of the protection', async () => {
    const { request, opened, notify } = await observed()
    expect(request.message.code).toBe(0x05)
    expect(optionOf(request.message, 6)).toHaveLength(0)
    expect(optionOf(opened.message, 6)).toHaveLength(0)
    const notification = await notify('on')
    expect([notification.code, ...optionOf(notification, 6)!]).toEqual([0x45, 1])
    expect(text((await request.open(notification))!.payload)).toBe('on')
  })

  test('gives notifications in the order of their Partial IVs, whatever Observe says outside', async () => {
    const { request, notify } = await observed()
    const [first, second, third] = [await notify('1'), await notify('2'), await notify('3')] as [PlainMessage, PlainMessage, PlainMessage]
    const answers = [first, third, second, third, first].map(message =>
      request.open({
        ...message,
        options: [
          [6, Uint8Array.of(9)],
          [9, optionOf(message, 9)!]
        ]
      })
    )
    const texts = (await Promise.all(answers)).map(answer => answer && `${text(answer.payload)} as ${numberOf(answer)}`)
    expect(texts).toEqual(['1 as 1', '3 as 2', undefined, undefined, undefined])
  })

  test('takes the one notification without a Partial IV as the oldest', async () => {
    const { request, opened, notify } = await observed()
    const first = await opened.protect(CONTENT('0', [[6, Uint8Array.of(0)]]), 'response')
    expect(optionOf(first, 9)).toHaveLength(0)
    const second = await notify('1')
    expect(text((await request.open(second))!.payload)).toBe('1')
    expect(await request.open(first)).toBeUndefined()
  })

  test('survives notifications that cannot be verified, once it has begun', async () => {
    const { request, notify } = await observed()
    const first = await notify('1')
    expect(() => request.open(changedByte(first))).toThrow(expect.objectContaining({ status: 502, code: 'bad-answer' }))
    await request.open(first)
    expect(await request.open(changedByte(await notify('2')))).toBeUndefined()
    expect(await request.open({ code: 0xa4, options: [], payload: NO_BYTES })).toBeUndefined()
    expect(text((await request.open(await notify('3')))!.payload)).toBe('3')
  })

  test('ends with a response without Observe', async () => {
    const { request, opened, notify } = await observed()
    await request.open(await notify('1'))
    const last = await opened.protect({ code: 0x84, options: [], payload: NO_BYTES }, 'notification')
    expect(last.code).toBe(0x44)
    expect(await request.open(last)).toMatchObject({ code: 0x84 })
    expect(await request.open(await notify('2'))).toBeUndefined()
  })

  test('is ended on either side', async () => {
    const { request, opened, notify } = await observed()
    const first = await notify('1')
    request.end()
    expect(await request.open(first)).toBeUndefined()
    opened.end()
    await expect(notify('2')).rejects.toMatchObject({ code: 'association-ended' })
  })

  test('cannot be made out of a request that does not observe', async () => {
    const { client, server } = await observed()
    for (const options of [[], [[6, Uint8Array.of(1)] as const]]) {
      const request = await protect(client, GET('light', options))
      const opened = await mustOpen(server, request.message)
      const notification = await opened.protect(CONTENT('1', [[6, Uint8Array.of(1)]]), 'notification')
      expect(() => request.open(notification)).toThrow(expect.objectContaining({ code: 'bad-answer' }))
    }
  })
})

describe('the nonce of a request', () => {
  test('protects one response; each later one has a Partial IV of its own', async () => {
    const { opened } = await observed()
    const values = [
      await opened.protect(CONTENT('1'), 'response'),
      await opened.protect(CONTENT('2'), 'response'),
      await opened.protect(CONTENT('2'), 'response'),
      await opened.protect(CONTENT('3'), 'notification')
    ].map(message => Buffer.from(optionOf(message, 9)!).toString('hex'))
    expect(values[0]).toBe('')
    expect(new Set(values).size).toBe(4)
  })

  test('is that of the request even if the bytes of the datagram are used again', async () => {
    const { client, server } = await observed()
    const request = await protect(client, GET('light'))
    const memory = Buffer.from(optionOf(request.message, 9)!)
    const opened = await mustOpen(server, { ...request.message, options: [[9, memory]] })
    memory.fill(0xff)
    expect(text((await request.open(await opened.protect(CONTENT('1'), 'response')))!.payload)).toBe('1')
  })
})

describe('a client', () => {
  test('refuses an answer that is not protected, and says what the server said', async () => {
    const { client } = await observed()
    const request = await protect(client, GET('light'))
    const answer: PlainMessage = { code: 0x81, options: [], payload: Buffer.from('Security context not found') }
    expect(() => request.open(answer)).toThrow(
      expect.objectContaining({ status: 502, code: 'unprotected-answer', detail: expect.stringContaining('4.01 (Security context not found)') })
    )
    const forged: PlainMessage = { code: 0x45, options: [], payload: Buffer.from('<script>') }
    expect(() => request.open(forged)).toThrow(expect.objectContaining({ detail: expect.not.stringContaining('script') }))
  })

  test('takes one response, and none that belongs to another request', async () => {
    const { client, server } = await observed()
    const [one, other] = [await protect(client, GET('light')), await protect(client, GET('light'))]
    const response = await (await mustOpen(server, one.message)).protect(CONTENT('1'), 'response')
    const withPartialIv = await (await mustOpen(server, other.message)).protect(CONTENT('2'), 'notification')
    expect(() => other.open(response)).toThrow(expect.objectContaining({ code: 'bad-answer' }))
    expect(() => one.open(withPartialIv)).toThrow(expect.objectContaining({ code: 'bad-answer' }))
    expect(text((await one.open(response))!.payload)).toBe('1')
    expect(await one.open(response)).toBeUndefined()
  })

  test('does not protect a message twice, or one that is too large', async () => {
    const { client } = await observed()
    await expect(async () => protect(client, GET('light', [[9, NO_BYTES]]))).rejects.toMatchObject({ code: 'already-protected' })
    await expect(async () => protect(client, { code: 0x02, options: [], payload: new Uint8Array(65_536) })).rejects.toMatchObject({
      status: 413,
      code: 'message-too-large'
    })
    await expect(async () => protect(client, { code: 0x01, options: [[35, Buffer.from('urn:x')]], payload: NO_BYTES })).rejects.toMatchObject({
      code: 'bad-proxy-uri'
    })
    await expect(async () => protect(client, { code: 0x01, options: [[35, Buffer.from('coap://a/%')]], payload: NO_BYTES })).rejects.toMatchObject({
      code: 'bad-proxy-uri'
    })
  })
})
