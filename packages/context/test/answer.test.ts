import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { CodecTable, IopaError, originOf } from '@iopa/constants'
import { reply } from '@iopa/context'
import { AnswerRecord, applyValue, HeaderMap, headReady, receivedAnswer, refuseAnswer, sealAnswer, useCodecs, whenRead } from '@iopa/context/host'
import { describe, expect, test } from 'vitest'
import { bench, request } from './environment.ts'

const codecs = new CodecTable()
const sealed = (value: unknown, prepare?: (answer: AnswerRecord) => void): AnswerRecord => {
  const answer = new AnswerRecord()
  prepare?.(answer)
  applyValue(answer, value)
  if (answer.status === 0) answer.status = 200
  sealAnswer(answer, codecs)
  return answer
}

describe('an answer', () => {
  test.each([
    ['text', 'héllo', 'text/plain; charset=utf-8', 'héllo'],
    ['bytes', new Uint8Array([1, 2]), 'application/octet-stream', new Uint8Array([1, 2])],
    ['an object', { on: true }, 'application/json', '{"on":true}'],
    ['an array', [1, 2], 'application/json', '[1,2]'],
    ['null', null, 'application/json', 'null'],
    ['a number', 0, 'application/json', '0'],
    ['false', false, 'application/json', 'false'],
    ['an array buffer', new Uint8Array([3]).buffer, 'application/octet-stream', new Uint8Array([3])]
  ])('encodes %s once', (_, value, type, payload) => {
    const answer = sealed(value)
    expect([answer.type, answer.payload]).toEqual([type, payload])
  })

  test('streams iterables of bytes and text, sync, async and web streams', async () => {
    async function* chunks(): AsyncGenerator<Uint8Array | string> {
      yield new Uint8Array([97])
      yield 'b'
    }
    for (const body of [chunks(), new Set(['a', 'b']), new ReadableStream({ start: c => (c.enqueue(new Uint8Array([97, 98])), c.close()) })]) {
      const answer = sealed(body)
      expect(answer.isStream).toBe(true)
      expect(await answer.text()).toBe('ab')
      expect(await answer.text()).toBe('ab')
    }
  })

  test('refuses chunks that are neither bytes nor text, and gives their source up', async () => {
    let returned = 0
    const numbers = {
      [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: 1 }), return: async () => (returned++, { done: true, value: null }) })
    }
    let cancelled = 0
    const web = new ReadableStream({ start: controller => controller.enqueue(1), cancel: () => void cancelled++ })
    for (const body of [numbers, web]) await expect(sealed(body).text()).rejects.toThrow(/bytes or strings/)
    expect([returned, cancelled]).toEqual([1, 1])
  })

  describe('gives its source up at once', () => {
    const iterate = (answer: AnswerRecord) => (answer.payload as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    const silent = () => {
      const state = { cancelled: 0 }
      return { state, stream: new ReadableStream({ cancel: () => void state.cancelled++ }) }
    }

    test('when nobody has begun to read it', async () => {
      const { state, stream } = silent()
      const file = Readable.from(['a'])
      for (const answer of [sealed(stream), sealed(file)]) expect(await iterate(answer).return?.()).toMatchObject({ done: true })
      expect([state.cancelled, file.destroyed]).toEqual([1, true])
    })

    test('when it is silent', async () => {
      const { state, stream } = silent()
      const file = new Readable({ read: () => undefined })
      for (const answer of [sealed(stream), sealed(file)]) {
        const iterator = iterate(answer)
        const waiting = iterator.next().catch(() => undefined)
        await iterator.return?.()
        await waiting
      }
      expect([state.cancelled, file.destroyed]).toEqual([1, true])
    })

    test('and says so once to whoever waits for its end', async () => {
      for (const read of [0, 1, 2, 3]) {
        let ended = 0
        const answer = sealed(new Set(['a', 'b']))
        whenRead(answer, () => void ended++)
        const iterator = iterate(answer)
        for (let count = 0; count < read; count++) await iterator.next()
        await iterator.return?.()
        await iterator.return?.()
        expect(ended).toBe(1)
      }
    })

    test('also where a generator is waiting for that very end', async () => {
      let stop = (): void => undefined
      const stopped = new Promise<void>(resolve => {
        stop = resolve
      })
      const answer = sealed(
        (async function* () {
          await stopped
          yield 'a'
        })()
      )
      whenRead(answer, () => stop())
      const iterator = iterate(answer)
      const waiting = iterator.next()
      await iterator.return?.()
      expect((await waiting).done).toBe(false)
    })
  })

  test('collects a stream within a limit', async () => {
    const answer = sealed(new Set(['aaa', 'bbb']))
    await expect(answer.bytes(5)).rejects.toMatchObject({ status: 413 })
  })

  test('keeps a random-access body as it is', () => {
    const body = { size: 3, read: async () => new Uint8Array(), async *[Symbol.asyncIterator]() {} }
    expect(sealed(body).payload).toBe(body)
  })

  test('encodes by the codec of its content type', () => {
    const table = new CodecTable([{ mediaType: 'application/x-upper', encode: value => String(value).toUpperCase(), decode: () => null }])
    const answer = new AnswerRecord()
    answer.status = 200
    answer.type = 'application/x-upper'
    answer.body = ['a']
    sealAnswer(answer, table)
    expect(answer.payload).toBe('A')
  })

  test('takes status, body and headers from a reply, a web Response or another answer', async () => {
    expect([sealed(reply(201, { id: 1 }, { location: '/1' })).status, sealed(reply(201, 'x', { A: ['1', '2'] })).headers.getAll('a')]).toEqual([
      201,
      ['1', '2']
    ])
    const web = sealed(new Response('hi', { status: 202, headers: { 'x-a': '1', 'content-type': 'text/x' } }))
    expect([web.status, web.type, web.headers.get('x-a'), web.headers.has('content-type'), await web.text()]).toEqual([
      202,
      'text/x',
      '1',
      false,
      'hi'
    ])
    const copy = sealed(receivedAnswer(404, { type: 'text/plain', payload: 'gone', headers: new HeaderMap(['x-b', '2']) }))
    expect([copy.status, copy.type, copy.payload, copy.headers.get('X-B')]).toEqual([404, 'text/plain', 'gone', '2'])
  })

  test('leaves everything alone for undefined, and throws an error that was returned', () => {
    const answer = new AnswerRecord()
    applyValue(answer, undefined)
    expect([answer.status, answer.body]).toEqual([0, undefined])
    expect(() => applyValue(answer, new IopaError(409, 'x'))).toThrow(IopaError)
  })

  test('runs its callbacks once, last registered first, and refuses edits afterwards', () => {
    const order: number[] = []
    const answer = sealed('x', made => {
      made.onSendingHeaders(() => void order.push(1))
      made.onSendingHeaders(() => {
        order.push(2)
        made.status = 203
        made.headers.set('late', 'yes')
        made.reason = 'Fine'
      })
    })
    sealAnswer(answer, codecs)
    expect([order, answer.status, answer.headers.get('late'), answer.reason]).toEqual([[2, 1], 203, 'yes', 'Fine'])
    for (const edit of [
      () => (answer.status = 200),
      () => (answer.body = 1),
      () => (answer.type = 'a'),
      () => (answer.reason = 'a'),
      () => answer.headers.set('a', 'b'),
      () => answer.onSendingHeaders(() => undefined),
      () => answer.fail(new IopaError(500, 'x')),
      () => answer.reset()
    ]) {
      expect(edit).toThrow(/sent/)
    }
  })

  test('runs those that are last after all others, whenever they were registered', () => {
    const order: number[] = []
    sealAnswer(
      sealed('x', made => {
        made.onSendingHeaders(() => void order.push(1))
        made.onSendingHeaders(() => void order.push(3), { last: true })
        made.onSendingHeaders(() => {
          order.push(2)
          made.onSendingHeaders(() => void order.push(4))
        })
      }),
      codecs
    )
    expect(order).toEqual([2, 4, 1, 3])
  })

  test('says a problem for a status of 400 and more without a body', () => {
    const answer = new AnswerRecord()
    answer.headers.set('etag', '"1"')
    answer.headers.set('access-control-allow-origin', '*')
    answer.fail(
      new IopaError(422, 'invalid-field', 'No.', {
        extensions: { errors: [{ field: 'a' }], status: 1 },
        headers: { 'retry-after': '3' },
        cause: new Error('secret')
      })
    )
    sealAnswer(answer, codecs)
    expect(answer.isProblem).toBe(true)
    expect(JSON.parse(answer.payload as string)).toEqual({
      type: 'about:blank',
      title: 'Unprocessable Content',
      status: 422,
      code: 'invalid-field',
      detail: 'No.',
      errors: [{ field: 'a' }]
    })
    expect([answer.type, answer.headers.has('etag'), answer.headers.get('access-control-allow-origin'), answer.headers.get('retry-after')]).toEqual([
      'application/problem+json',
      false,
      '*',
      '3'
    ])
  })

  test('forgets an error when another handler answers', () => {
    const answer = new AnswerRecord()
    answer.fail(new IopaError(404, 'no-route'))
    answer.reset()
    expect([answer.status, answer.error]).toEqual([0, null])
  })

  test.each([0, 99, 199, 600, 200.5, Number.NaN])('refuses status %s', status => {
    expect(() => (new AnswerRecord().status = status)).toThrow(/200 to 599/)
  })
})

describe('sealing', () => {
  const late = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

  test('is synchronous unless a callback is not, and waits for each callback in turn', async () => {
    const answer = new AnswerRecord()
    const order: number[] = []
    answer.body = 'x'
    answer.onSendingHeaders(() => void order.push(1))
    answer.onSendingHeaders(async () => {
      await late()
      answer.headers.set('late', 'yes')
      order.push(2)
    })
    answer.onSendingHeaders(() => void order.push(3))
    const sealing = sealAnswer(answer, codecs)
    expect([order, answer.sealed]).toEqual([[3], false])
    await sealing
    expect([order, answer.sealed, answer.headers.get('late')]).toEqual([[3, 2, 1], true, 'yes'])
    expect(sealAnswer(answer, codecs)).toBeUndefined()
  })

  test('runs all callbacks, and rejects with the first failure; then an error can be sealed', async () => {
    const answer = new AnswerRecord()
    let ran = 0
    answer.onSendingHeaders(() => void ran++)
    answer.onSendingHeaders(() => Promise.reject(new Error('first')))
    await expect(sealAnswer(answer, codecs)).rejects.toThrow('first')
    answer.fail(new IopaError(500, 'x'))
    expect(sealAnswer(answer, codecs)).toBeUndefined()
    expect([ran, answer.sealed, answer.status]).toEqual([1, true, 500])
  })

  test('is final when other code seals the answer while a callback runs', async () => {
    const answer = new AnswerRecord()
    answer.body = 'x'
    answer.onSendingHeaders(late)
    const sealing = sealAnswer(answer, codecs)
    answer.fail(new IopaError(504, 'timeout'))
    sealAnswer(answer, codecs)
    await sealing
    expect([answer.status, answer.isProblem]).toEqual([504, true])
  })

  test('refuses an answer that cannot be sent after all, and keeps the headers that callbacks have set', () => {
    const stream = new Readable({ read: () => undefined })
    const answer = sealed(stream, made => made.onSendingHeaders(() => made.headers.set('x-a', '1')))
    refuseAnswer(answer, new IopaError(500, 'internal-error'), codecs)
    expect([answer.status, answer.sealed, answer.isProblem, answer.isStream, answer.headers.get('x-a'), answer.headers.frozen]).toEqual([
      500,
      true,
      true,
      false,
      '1',
      true
    ])
    expect([stream.destroyed, JSON.parse(answer.payload as string).code]).toEqual([true, 'internal-error'])
  })

  test('refuses a reason phrase that no peer reads', () => {
    for (const reason of ['a\r\nb', 'a\0', '\u{1f4a1}']) expect(() => (new AnswerRecord().reason = reason)).toThrow(/reason phrase/)
  })
})

describe('the head of a streamed answer', () => {
  const owned = (method: string, value: unknown): AnswerRecord => {
    const context = request(bench().factory, '/a', null, null, method)
    applyValue(context.response, value)
    void sealAnswer(context.response, codecs)
    return context.response
  }
  async function* failing(): AsyncGenerator<string> {
    yield* []
    throw new IopaError(409, 'busy')
  }
  async function* chunks(): AsyncGenerator<string> {
    yield 'a'
    yield 'b'
  }

  test.each(['x', new Uint8Array(1), { a: 1 }, null, undefined])('does not wait for %j', value => {
    expect(headReady(owned('GET', value))).toBeNull()
  })

  test('waits for the first chunk, which is read again', async () => {
    for (const body of [chunks(), Readable.from(['a', 'b']), new Blob(['ab']).stream()]) {
      const answer = owned('GET', body)
      await headReady(answer)
      await headReady(answer)
      expect(await answer.text()).toBe('ab')
    }
  })

  test('fails with the first failure, which reading gives as well', async () => {
    const web = new ReadableStream({ pull: controller => controller.error(new IopaError(409, 'busy')) })
    const node = new Readable({
      read() {
        this.destroy(new IopaError(409, 'busy'))
      }
    })
    for (const body of [failing(), web, node, createReadStream('/none')]) {
      const answer = owned('GET', body)
      const code = expect.stringMatching(/busy|ENOENT/)
      await expect(headReady(answer)).rejects.toMatchObject({ code })
      await expect(answer.bytes()).rejects.toMatchObject({ code })
    }
  })

  test('goes at once for event streams and web Responses', () => {
    const silent = new ReadableStream()
    expect(headReady(owned('GET', new Response(silent)))).toBeNull()
    expect(headReady(owned('GET', reply(200, new ReadableStream(), { 'content-type': 'text/event-stream' })))).toBeNull()
  })

  test('of HEAD or 304 takes nothing from a generator, and waits for a file to be open', async () => {
    for (const answer of [owned('HEAD', chunks()), owned('GET', reply(304, chunks())), owned('HEAD', Readable.from(['a']))]) {
      expect(headReady(answer)).toBeNull()
    }
    for (const answer of [owned('HEAD', createReadStream('/none')), owned('GET', reply(304, createReadStream('/none')))]) {
      await expect(headReady(answer)).rejects.toMatchObject({ code: 'ENOENT' })
    }
    const open = owned('HEAD', createReadStream(import.meta.filename))
    await headReady(open)
    await (open.payload as AsyncIterableIterator<Uint8Array>).return?.()
  })
})

describe('the status of an answer', () => {
  test.each([
    ['GET', undefined, 404],
    ['HEAD', undefined, 404],
    ['PUT', undefined, 204],
    ['GET', null, 200],
    ['GET', 'x', 200],
    ['PUT', 'x', 200],
    ['GET', () => 1, 500],
    ['GET', new Error('x'), 500],
    ['GET', new IopaError(409, 'x'), 409]
  ])('of %s with %j is what would be sent', (method, body, status) => {
    const { response } = request(bench().factory, '/a', null, null, method)
    response.body = body
    expect([response.status, response['iopa.StatusCode'], response.ok, response.code !== 0]).toEqual([status, status, status < 300, false])
    response.reset()
    response.status = 202
    expect([response.status, response.code !== 0]).toEqual([202, true])
  })
})

describe('an answer that was received', () => {
  test('gives the problem that its body tells of', () => {
    const problem = '{"type":"about:blank","title":"Conflict","status":409,"code":"busy","detail":"Later.","field":"a"}'
    const answer = receivedAnswer(409, { type: 'application/problem+json', payload: new TextEncoder().encode(problem) })
    expect(answer.problem).toEqual(JSON.parse(problem))
    expect([answer.error?.code, answer.error?.detail, answer.error?.extensions, originOf(answer.error)]).toEqual([
      'busy',
      'Later.',
      { field: 'a' },
      'upstream'
    ])
  })

  test.each([
    ['text/plain; charset=utf-8', 'No such light.', 'No such light.'],
    ['', 'No such light.', 'No such light.'],
    ['text/html', '<h1>', ''],
    ['application/json', '[1]', ''],
    ['application/problem+json', '{', ''],
    ['text/plain', 'x'.repeat(2000), '']
  ])('with %j and %j has an error of its status', (type, payload, detail) => {
    const answer = receivedAnswer(404, { type, payload })
    expect([answer.error?.status, answer.error?.code, answer.error?.detail]).toEqual([404, 'status-404', detail])
    expect(answer.problem).toMatchObject({ status: 404, title: 'Not Found' })
  })

  test('has no error below 400, nor before its stream has been read', async () => {
    expect(receivedAnswer(200, { payload: 'x' }).error).toBeNull()
    async function* body(): AsyncGenerator<Uint8Array> {
      yield new TextEncoder().encode('{"code":"busy"}')
    }
    const streamed = receivedAnswer(409, { type: 'application/problem+json', payload: body() })
    expect(streamed.error).toBeNull()
    await streamed.json()
    expect(streamed.error?.code).toBe('busy')
  })

  test.each([204, 205, 304])('of status %i has the value undefined', async status => {
    expect(await receivedAnswer(status).json()).toBeUndefined()
    expect(await receivedAnswer(status, { payload: new Uint8Array(0) }).json()).toBeUndefined()
  })

  test('is read with the codecs that its client was given', async () => {
    const cbor = new CodecTable([{ mediaType: 'application/cbor', encode: () => '', decode: bytes => bytes.length }])
    const parts = { type: 'application/cbor', payload: new Uint8Array(3) }
    expect(await receivedAnswer(200, { ...parts, codecs: cbor }).json()).toBe(3)
    const later = receivedAnswer(200, parts)
    useCodecs(later, cbor)
    expect(await later.json()).toBe(3)
    await expect(receivedAnswer(200, parts).json()).rejects.toMatchObject({ status: 415 })
  })

  test('blames its sender for a body that cannot be read', async () => {
    const failures = [
      receivedAnswer(200, { type: 'text/html', payload: 'x' }).json(),
      receivedAnswer(200, { payload: '{' }).json(),
      receivedAnswer(200, { payload: new Uint8Array([0xff]) }).text()
    ]
    for (const failure of failures) expect(originOf(await failure.catch((error: unknown) => error))).toBe('upstream')
    const { response } = request(bench().factory)
    response.body = '{'
    expect(originOf(await response.json().catch((error: unknown) => error))).toBe('internal')
  })
})

describe('headers', () => {
  test('compare without regard to case and keep several values apart', () => {
    const headers = new HeaderMap()
    headers.set('content-type', 'a')
    headers.set('Content-Type', 'b')
    headers.append('Set-Cookie', '1')
    headers.append('set-cookie', '2')
    expect([
      headers.size,
      headers.get('CONTENT-TYPE'),
      headers.getAll('SET-cookie'),
      headers.delete('SET-COOKIE'),
      headers.size,
      headers.delete('nothing')
    ]).toEqual([3, 'b', ['1', '2'], true, 1, false])
  })

  test('copy the list that a protocol gave on the first write', () => {
    const given = ['A', '1', 'b', '2', 'a', '3']
    const headers = new HeaderMap(given)
    expect(headers.pairs()).toBe(given)
    headers.set('a', 'x')
    expect([given, [...headers]]).toEqual([
      ['A', '1', 'b', '2', 'a', '3'],
      [
        ['a', 'x'],
        ['b', '2']
      ]
    ])
  })

  test('that two owners share are copied on the first edit of either', () => {
    const common = HeaderMap.from({ a: '1' })
    const mine = HeaderMap.from(common)
    expect(mine.pairs()).toBe(common.pairs())
    common.set('b', '2')
    mine.set('c', '3')
    HeaderMap.from(mine).delete('a')
    expect([[...common].flat(), [...mine].flat()]).toEqual([
      ['a', '1', 'b', '2'],
      ['a', '1', 'c', '3']
    ])
  })

  test.each([undefined, 5, null, [5], {}])('refuse the value %j', value => {
    expect(() => HeaderMap.from({ a: value as never })).toThrow(/string/)
  })

  test.each([
    ['a b', 'x'],
    ['a:', 'x'],
    ['', 'x'],
    ['a', 'x\r\ny'],
    ['a', '\0']
  ])('refuse %j: %j', (name, value) => {
    expect(() => new HeaderMap().set(name, value)).toThrow(IopaError)
    expect(() => new HeaderMap().append(name, value)).toThrow(IopaError)
    expect(() => new HeaderMap().set(name, [value])).toThrow(IopaError)
  })
})
