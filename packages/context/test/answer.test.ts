import { Readable } from 'node:stream'
import { CodecTable, IopaError } from '@iopa/constants'
import { Answer, applyValue, HeaderMap, reply } from '@iopa/context'
import { describe, expect, test } from 'vitest'

const codecs = new CodecTable()
const sealed = (value: unknown, prepare?: (answer: Answer) => void): Answer => {
  const answer = new Answer()
  prepare?.(answer)
  applyValue(answer, value)
  if (answer.status === 0) answer.status = 200
  answer.seal(codecs)
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
    const iterate = (answer: Answer) => (answer.payload as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
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
        answer.whenRead(() => void ended++)
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
      answer.whenRead(() => stop())
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
    const answer = new Answer()
    answer.status = 200
    answer.type = 'application/x-upper'
    answer.body = ['a']
    answer.seal(table)
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
    const copy = sealed(Answer.received(404, { type: 'text/plain', payload: 'gone', headers: new HeaderMap(['x-b', '2']) }))
    expect([copy.status, copy.type, copy.payload, copy.headers.get('X-B')]).toEqual([404, 'text/plain', 'gone', '2'])
  })

  test('leaves everything alone for undefined, and throws an error that was returned', () => {
    const answer = new Answer()
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
    answer.seal(codecs)
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

  test('says a problem for a status of 400 and more without a body', () => {
    const answer = new Answer()
    answer.headers.set('etag', '"1"')
    answer.headers.set('access-control-allow-origin', '*')
    answer.fail(
      new IopaError(422, 'invalid-field', 'No.', {
        extensions: { errors: [{ field: 'a' }], status: 1 },
        headers: { 'retry-after': '3' },
        cause: new Error('secret')
      })
    )
    answer.seal(codecs)
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
    const answer = new Answer()
    answer.fail(new IopaError(404, 'no-route'))
    answer.reset()
    expect([answer.status, answer.error]).toEqual([0, null])
  })

  test.each([0, 99, 199, 600, 200.5, Number.NaN])('refuses status %s', status => {
    expect(() => (new Answer().status = status)).toThrow(/200 to 599/)
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
