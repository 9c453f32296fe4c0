// JSON text passes through a bag unchanged: it is parsed when the reader asks for the value, and not before.
import { CodecTable } from '@iopa/constants'
import { AnswerRecord, sealAnswer } from '@iopa/context/host'
import { decodeBagAnswer, decodeBagRequest, encodeBagAnswer, encodeBagRequest } from '@iopa/transport'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memberText } from '../src/bags/json-member.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (data: Uint8Array | null): string | null => (data ? new TextDecoder('utf-8', { ignoreBOM: true }).decode(data) : null)

const requestBody = (line: string): string | null => {
  const request = decodeBagRequest(bytes(line))
  if ('error' in request) throw request.error
  return textOf(request.body)
}
const request = (body: string): string =>
  encodeBagRequest({
    method: 'PUT',
    path: '/a',
    query: '',
    headers: [],
    contentType: 'application/json',
    body: bytes(body),
    observe: undefined,
    seq: 1
  })
const answer = (body: unknown): string => {
  const answer = new AnswerRecord()
  answer.status = 200
  answer.body = body
  answer.type = 'application/json'
  sealAnswer(answer, new CodecTable())
  return encodeBagAnswer(answer, 1)
}

const TEXTS = [
  '{"id":12345678901234567890}',
  '-0',
  '[-0,-0.0,1E400,-1e400,1e-400]',
  '1.0',
  '100000000000000000000000',
  '0.1000000000000000055511151231257827',
  '{"a":1,"a":2}',
  '{"b":1,"2":0,"a":2,"1":0}',
  '"\\u0061\\/\\u00e9\\ud83d\\ude00"',
  '{ "a" : [ 1 , 2 ] }',
  '{\t"a":\t1}',
  '"\\"iopa.Body\\":1,"',
  '{"iopa.Body":{"iopa.Body":[2]},"iopa.Seq":9}',
  '"\\\\"',
  '"\\\\\\""',
  '{"__proto__":{"a":1}}',
  '"\u2028\u2029"',
  'null',
  '[]',
  '""',
  '"\u{1f600}é"'
]

describe('JSON in a bag', () => {
  test.each(TEXTS)('is read from a request unchanged: %s', body => {
    expect(requestBody(request(body))).toBe(body)
    expect(requestBody(`{"iopa.Method":"PUT","iopa.Path":"/","iopa.ContentType":"application/json","iopa.Body": ${body} }`)).toBe(body)
  })

  test.each(TEXTS)('is read from an answer unchanged: %s', body => {
    expect(textOf(decodeBagAnswer(bytes(answer(bytes(body)))).answer.payloadBytes)).toBe(body)
    expect(textOf(decodeBagAnswer(bytes(answer(body))).answer.payloadBytes)).toBe(body)
  })

  test('has line breaks replaced by spaces on a line, and nothing else changed', () => {
    const pretty = '{\r\n  "id": 12345678901234567890,\n\t"list": [\r1,\n2],\n  "text": "a\\nb"\n}\n'
    for (const line of [request(pretty), answer(bytes(pretty)), answer(pretty)]) expect(line).not.toMatch(/[\r\n]/)
    const spaced = pretty.replace(/[\r\n]/g, ' ').trimEnd()
    expect(requestBody(request(pretty))).toBe(spaced)
    expect(textOf(decodeBagAnswer(bytes(answer(bytes(pretty)))).answer.payloadBytes)).toBe(spaced)
  })

  test('keeps its line breaks in a datagram', () => {
    expect(requestBody('{"iopa.Method":"PUT",\n"iopa.Path":"/",\n"iopa.Body":\n{\n"a": 1\n}\n}')).toBe('{\n"a": 1\n}')
  })

  test('is the value of the last iopa.Body, as in every JSON parser, however the name is escaped', () => {
    expect(requestBody('{"iopa.Body":1,"iopa.Method":"PUT","iopa.Path":"/","iopa.Body":-0}')).toBe('-0')
    expect(requestBody('{"iopa.Method":"PUT","iopa.Path":"/","iopa.B\\u006fdy":1.0}')).toBe('1.0')
    expect(requestBody('{"iopa.Body":2.0,"iopa.Method":"PUT","iopa.Path":"/","iopa\\u002eBody":1.0}')).toBe('1.0')
  })

  test('may be nested deeply without overflow', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    expect(requestBody(request(deep))).toBe(deep)
    expect(textOf(decodeBagAnswer(bytes(answer(bytes(deep)))).answer.payloadBytes)).toBe(deep)
  })

  test('of any shape is unchanged, wherever it stands in the bag', () => {
    const space = fc.constantFrom('', ' ', '\t', '  ')
    const scalar = fc.oneof(
      fc.constantFrom(...TEXTS),
      fc.bigInt().map(String),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => (Object.is(value, -0) ? '-0' : String(value))),
      fc.string({ unit: 'grapheme' }).map(value => JSON.stringify(value))
    )
    const { value } = fc.letrec<{ value: string }>(tie => ({
      value: fc.oneof(
        { maxDepth: 4 },
        scalar,
        fc.tuple(space, fc.array(tie('value'), { maxLength: 4 })).map(([gap, items]) => `[${gap}${items.join(`${gap},`)}${gap}]`),
        fc
          .tuple(space, fc.array(fc.tuple(fc.constantFrom('"iopa.Body"', '"a"', '"\\""', '"}"', '"7"'), tie('value')), { maxLength: 4 }))
          .map(([gap, members]) => `{${gap}${members.map(([name, member]) => `${name}${gap}:${member}`).join(`${gap},`)}${gap}}`)
      )
    }))
    fc.assert(
      fc.property(value, fc.nat({ max: 3 }), (body, place) => {
        const members = [
          '"iopa.Method":"PUT"',
          '"iopa.Path":"/a"',
          '"iopa.Headers":{"x":"\\"iopa.Body\\":1"}',
          '"iopa.ContentType":"application/json"'
        ]
        members.splice(place, 0, `"iopa.Body":${body}`)
        const line = `{${members.join(',')}}`
        expect(requestBody(line)).toBe(body)
        expect(memberText(line, 'iopa.Body')).toBe(body)
        expect(requestBody(request(body))).toBe(body)
        expect(textOf(decodeBagAnswer(bytes(answer(bytes(body)))).answer.payloadBytes)).toBe(body)
      }),
      { numRuns: 300 }
    )
  })

  test('is not passed on as JSON if it is invalid', () => {
    expect(requestBody(request('{"a":'))).toBe('{"a":')
    expect(request('{"a":')).toContain('base64')
  })
})

describe('text in a bag', () => {
  test('is a string only if its bytes are UTF-8 by its content type', () => {
    const latin = { method: 'PUT', path: '/', query: '', headers: [], contentType: 'text/plain; charset=iso-8859-1', observe: undefined, seq: 1 }
    const back = decodeBagRequest(bytes(encodeBagRequest({ ...latin, body: Uint8Array.of(0xe9) })))
    expect(back).toMatchObject({ body: Uint8Array.of(0xe9) })
    // A string has no bytes in another charset: the sender has to give them.
    const line = '{"iopa.Method":"PUT","iopa.Path":"/","iopa.ContentType":"text/plain; charset=iso-8859-1","iopa.Body":"é"}'
    expect(decodeBagRequest(bytes(line))).toMatchObject({ error: { status: 400, code: 'bag-body', detail: expect.stringContaining('base64') } })
  })

  test('of an answer in another charset is sent as base64', () => {
    const answer = new AnswerRecord()
    answer.status = 200
    answer.type = 'text/plain; charset=iso-8859-1'
    answer.body = Uint8Array.of(0xe9)
    sealAnswer(answer, new CodecTable())
    expect([...decodeBagAnswer(bytes(encodeBagAnswer(answer, 1))).answer.payloadBytes]).toEqual([0xe9])
  })
})
