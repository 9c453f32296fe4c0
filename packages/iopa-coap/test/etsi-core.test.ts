import { expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { CODE } from '../src/codec/codes.ts'
import { TYPE } from '../src/codec/message.ts'
import { startEtsi } from './etsi-app.ts'
import { lossyRelay } from './lossy-relay.ts'
import { type ClientRun, runClient } from './peer-programs.ts'
import { line, RawPeer } from './raw-peer.ts'

const CLIENT = 'coap-client-notls'
const get = (...args: string[]): Promise<ClientRun> => runClient(CLIENT, ...args)

// ETSI CoAP#4, TD_COAP_CORE_*: one test for each, against libcoap's client where it can drive the case.
describeWith(CLIENT, 'ETSI CORE', () => {
  test.concurrent('CORE_01: a confirmable GET is answered in its acknowledgement, with id, token, format and payload', async () => {
    await using server = await startEtsi()
    const { messages, received } = await get('-m', 'get', `${server.url}/test`)
    expect(received).toHaveLength(1)
    const [request, answer] = [messages[0]!, received[0]!]
    expect(answer).toMatchObject({ type: 'ACK', code: '2.05', id: request.id, token: request.token, payload: 'test' })
    expect(answer.options).toContain('Content-Format:text/plain')
  })

  test.concurrent('CORE_02: a confirmable DELETE is answered 2.02', async () => {
    await using server = await startEtsi()
    const { messages, received } = await get('-m', 'delete', `${server.url}/test`)
    expect(received).toEqual([expect.objectContaining({ type: 'ACK', code: '2.02', id: messages[0]!.id, token: messages[0]!.token })])
  })

  test.concurrent('CORE_03: a confirmable PUT is answered 2.04', async () => {
    await using server = await startEtsi()
    const { messages, received } = await get('-m', 'put', '-t', '0', '-e', 'x', `${server.url}/test`)
    expect(received).toEqual([expect.objectContaining({ type: 'ACK', code: '2.04', id: messages[0]!.id, token: messages[0]!.token })])
  })

  test.concurrent('CORE_04: a confirmable POST is answered 2.01', async () => {
    await using server = await startEtsi()
    const { messages, received } = await get('-m', 'post', '-t', '0', '-e', 'x', `${server.url}/test`)
    expect(received).toEqual([expect.objectContaining({ type: 'ACK', code: '2.01', id: messages[0]!.id, token: messages[0]!.token })])
  })

  for (const [id, method, code, args] of [
    ['CORE_05', 'get', '2.05', []],
    ['CORE_06', 'delete', '2.02', []],
    ['CORE_07', 'put', '2.04', ['-t', '0', '-e', 'x']],
    ['CORE_08', 'post', '2.01', ['-t', '0', '-e', 'x']]
  ] as const) {
    test.concurrent(`${id}: a non-confirmable ${method.toUpperCase()} is answered in a non-confirmable message with the server's own id`, async () => {
      await using server = await startEtsi()
      const { messages, received } = await get('-N', '-m', method, ...args, `${server.url}/test`)
      expect(received).toEqual([expect.objectContaining({ type: 'NON', code, token: messages[0]!.token })])
      expect(messages[0]!.type).toBe('NON')
      expect(received[0]!.id).not.toBe(messages[0]!.id)
    })
  }

  // libcoap does not print empty messages, so these go through a relay that sees them.
  test.concurrent('CORE_09: a late answer is announced by an empty acknowledgement and comes in a message of its own', async () => {
    await using server = await startEtsi()
    const relay = await lossyRelay(server.port, () => false)
    const { received } = await get('-m', 'get', `coap://127.0.0.1:${relay.port}/separate`)
    relay.close()
    expect(received.at(-1)).toMatchObject({ type: 'CON', code: '2.05', payload: 'separate' })
    const [request, acknowledgement, answer, final] = relay.log.map(({ message }) => message)
    expect(relay.log).toHaveLength(4)
    expect([acknowledgement!.type, acknowledgement!.code, acknowledgement!.id]).toEqual([TYPE.ACK, CODE.EMPTY, request!.id])
    expect([answer!.type, answer!.code, answer!.token]).toEqual([TYPE.CON, CODE.CONTENT, request!.token])
    expect(answer!.id).not.toBe(request!.id)
    expect([final!.type, final!.code, final!.id]).toEqual([TYPE.ACK, CODE.EMPTY, answer!.id])
    expect(server.calls.get('GET /separate')).toBe(1)
  })

  for (const token of ['a', 'abcd', 'abcdefgh']) {
    test.concurrent(`CORE_10: a token of ${token.length} bytes comes back`, async () => {
      await using server = await startEtsi()
      const { messages, received } = await get('-T', token, '-m', 'get', `${server.url}/test`)
      expect(received[0]).toMatchObject({ code: '2.05', token: messages[0]!.token })
      expect(messages[0]!.token).toHaveLength(2 * token.length)
    })
  }

  test.concurrent('CORE_11: a late answer has the token of the request', async () => {
    await using server = await startEtsi()
    const { messages, received } = await get('-T', 'abcd', '-m', 'get', `${server.url}/separate`)
    expect(messages[0]!.token).toHaveLength(8)
    expect(received).toEqual([expect.objectContaining({ type: 'CON', code: '2.05', token: messages[0]!.token })])
  })

  test.concurrent('CORE_12: an empty token comes back empty', async () => {
    await using server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    peer.send('40011235b474657374')
    const answer = await peer.next()
    expect(line(answer)).toBe('ACK 2.05 {} "test"')
    expect(answer.id).toBe(0x1235)
    peer.close()
  })

  test.concurrent('CORE_13: a path of three segments', async () => {
    await using server = await startEtsi()
    const { received } = await get('-m', 'get', `${server.url}/seg1/seg2/seg3`)
    expect(received[0]).toMatchObject({ type: 'ACK', code: '2.05', payload: 'three segments' })
  })

  test.concurrent('CORE_14: a query of three parts', async () => {
    await using server = await startEtsi()
    const { received } = await get('-m', 'get', `${server.url}/query?first=1&second=2&third=3`)
    expect(received[0]).toMatchObject({ type: 'ACK', code: '2.05', payload: 'first=1 second=2 third=3' })
  })

  test.concurrent('CORE_15: when the request is lost it is sent again', async () => {
    await using server = await startEtsi()
    const { messages, received } = await get('-B', '15', '-l', '1', '-m', 'get', `${server.url}/test`)
    expect(messages.filter(({ code }) => code === 'GET').length).toBeGreaterThanOrEqual(1)
    expect(received).toEqual([expect.objectContaining({ type: 'ACK', code: '2.05', id: messages[0]!.id })])
    expect(server.calls.get('GET /test')).toBe(1)
  })

  test.concurrent('CORE_15: when the acknowledgement is lost the same one is sent again, and the handler runs once', async () => {
    await using server = await startEtsi()
    const relay = await lossyRelay(server.port, ({ toServer, number }) => !toServer && number === 1)
    const { received } = await get('-B', '15', '-m', 'post', '-e', 'x', `coap://127.0.0.1:${relay.port}/test`)
    relay.close()
    expect(received).toEqual([expect.objectContaining({ type: 'ACK', code: '2.01' })])
    const answers = relay.log.filter(({ toServer }) => !toServer).map(({ message }) => Buffer.from(message.bytes).toString('hex'))
    expect(answers).toHaveLength(2)
    expect(answers[0]).toBe(answers[1])
    expect(server.calls.get('POST /test')).toBe(1)
  })

  for (const [leg, isLeg] of [
    ['the request', ({ toServer, message }) => toServer && message.code === CODE.GET],
    ['the empty acknowledgement', ({ toServer, message }) => !toServer && message.code === CODE.EMPTY],
    ['the answer', ({ toServer, message }) => !toServer && message.code === CODE.CONTENT],
    ['the acknowledgement of the answer', ({ toServer, message }) => toServer && message.code === CODE.EMPTY]
  ] as const satisfies readonly (readonly [string, Parameters<typeof lossyRelay>[1]])[]) {
    test.concurrent(`CORE_16: a late answer arrives when ${leg} is lost once`, { timeout: 20_000 }, async () => {
      await using server = await startEtsi()
      let lost = 0
      const relay = await lossyRelay(server.port, datagram => isLeg(datagram) && ++lost === 1)
      const { received } = await get('-B', '12', '-m', 'get', `coap://127.0.0.1:${relay.port}/separate`)
      expect(received.find(({ code }) => code === '2.05')).toMatchObject({ type: 'CON', payload: 'separate' })
      expect(lost).toBeGreaterThanOrEqual(1)
      expect(server.calls.get('GET /separate')).toBe(1)
      relay.close()
      const answers = relay.log.filter(({ toServer, message }) => !toServer && message.code === CODE.CONTENT)
      expect(new Set(answers.map(({ message }) => message.id)).size).toBe(1)
    })
  }

  test.concurrent('CORE_17: a non-confirmable request for a late answer gets no acknowledgement, then a non-confirmable answer', async () => {
    await using server = await startEtsi()
    const relay = await lossyRelay(server.port, () => false)
    const { received } = await get('-N', '-m', 'get', `coap://127.0.0.1:${relay.port}/separate`)
    relay.close()
    expect(received).toEqual([expect.objectContaining({ type: 'NON', code: '2.05', payload: 'separate' })])
    const [request, answer] = relay.log.map(({ message }) => message)
    expect(relay.log).toHaveLength(2)
    expect([answer!.type, answer!.code, answer!.token]).toEqual([TYPE.NON, CODE.CONTENT, request!.token])
    expect(answer!.id).not.toBe(request!.id)
  })

  test.concurrent('CORE_18: 2.01 with three Location-Path options', async () => {
    await using server = await startEtsi()
    const { received } = await get('-m', 'post', '-t', '0', '-e', 'x', `${server.url}/test`)
    expect(received[0]!.options.filter(option => option.startsWith('Location-Path'))).toEqual([
      'Location-Path:location1',
      'Location-Path:location2',
      'Location-Path:location3'
    ])
  })

  test.concurrent('CORE_19: 2.01 with two Location-Query options', async () => {
    await using server = await startEtsi()
    const { received } = await get('-m', 'post', '-t', '0', '-e', 'x', `${server.url}/location-query`)
    expect(received[0]!.code).toBe('2.01')
    expect(received[0]!.options.filter(option => option.startsWith('Location-Query'))).toEqual(['Location-Query:first=1', 'Location-Query:second=2'])
  })

  test.concurrent('CORE_20: Accept chooses the format, and 4.06 says that there is none', async () => {
    await using server = await startEtsi()
    const plain = await get('-A', '0', '-m', 'get', `${server.url}/multi-format`)
    expect(plain.received[0]).toMatchObject({ code: '2.05', payload: 'plain', options: expect.arrayContaining(['Content-Format:text/plain']) })
    const xml = await get('-A', '41', '-m', 'get', `${server.url}/multi-format`)
    expect(xml.received[0]).toMatchObject({ code: '2.05', payload: '<plain/>', options: expect.arrayContaining(['Content-Format:application/xml']) })
    const other = await get('-A', '50', '-m', 'get', `${server.url}/multi-format`)
    expect(other.received[0]!.code).toBe('4.06')
  })

  const etagOf = ({ received }: ClientRun): string => /ETag:0x([0-9a-f]+)/.exec(received[0]!.options.join(' '))?.[1] ?? ''

  test.concurrent('CORE_21: a known ETag is answered 2.03 without payload, and 2.05 with another one after a change', async () => {
    await using server = await startEtsi()
    const first = etagOf(await get('-m', 'get', `${server.url}/validate`))
    expect(first).not.toBe('')
    const valid = await get('-O', `4,0x${first}`, '-m', 'get', `${server.url}/validate`)
    expect(valid.received[0]).toMatchObject({ code: '2.03', payload: undefined })
    expect(etagOf(valid)).toBe(first)
    await get('-m', 'put', '-t', '0', '-e', 'v2', `${server.url}/validate`)
    const changed = await get('-O', `4,0x${first}`, '-m', 'get', `${server.url}/validate`)
    expect(changed.received[0]).toMatchObject({ code: '2.05', payload: 'body v2' })
    expect(etagOf(changed)).not.toBe(first)
  })

  test.concurrent('CORE_22: If-Match changes what it knows, and 4.12 leaves alone what has changed', async () => {
    await using server = await startEtsi()
    const first = etagOf(await get('-m', 'get', `${server.url}/validate`))
    const put = (etag: string, value: string) => get('-m', 'put', '-t', '0', '-e', value, '-O', `1,0x${etag}`, `${server.url}/validate`)
    expect((await put(first, 'v2')).received[0]!.code).toBe('2.04')
    expect((await put(first, 'v3')).received[0]!.code).toBe('4.12')
    expect((await get('-m', 'get', `${server.url}/validate`)).received[0]!.payload).toBe('body v2')
  })

  test.concurrent('CORE_23: If-None-Match creates once', async () => {
    await using server = await startEtsi()
    const put = (value: string) => get('-m', 'put', '-t', '0', '-e', value, '-O', '5,', `${server.url}/create1`)
    expect((await put('one')).received[0]!.code).toBe('2.01')
    expect((await put('two')).received[0]!.code).toBe('4.12')
    expect((await get('-m', 'get', `${server.url}/create1`)).received[0]!.payload).toBe('one')
  })

  test.concurrent('CORE_31: a ping is answered with a reset of its id', async () => {
    await using server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    peer.send('40001234')
    expect(Buffer.from(await peer.nextBytes()).toString('hex')).toBe('70001234')
    peer.close()
  })
})
