import { encode, Tagged } from 'cborg'
import { describe, expect, test } from 'vitest'
import { decodeProblem, encodeProblem } from '../src/formats/problem-details.ts'

describe('concise problem details (RFC 9290)', () => {
  test('writes the standard entries under their keys', () => {
    const bytes = encodeProblem({ title: 'Bad Option', detail: 'x', instance: '/y', responseCode: 130, unprocessedOptions: [9999] })
    expect(Buffer.from(bytes).toString('hex')).toBe(
      'a5' + '20' + '6a426164204f7074696f6e' + '21' + '6178' + '22' + '622f79' + '23' + '1882' + '27' + '19270f'
    )
  })

  test('carries type, status and members of RFC 9457 through the tunnel of appendix B', () => {
    const problem = {
      title: 'Unprocessable Content',
      detail: 'level is over 100',
      responseCode: 150,
      type: 'https://example.org/range',
      status: 422,
      members: { code: 'range', errors: [{ field: 'level', max: 100 }] }
    }
    const read = decodeProblem(encodeProblem(problem))
    expect(JSON.parse(JSON.stringify(read))).toEqual(problem)
  })

  test('is never an empty map, and leaves out what says nothing', () => {
    expect(decodeProblem(encodeProblem({}))).toEqual({ title: 'Error' })
    expect(decodeProblem(encodeProblem({ title: 'a', type: 'about:blank', unprocessedOptions: [], members: { gone: undefined } }))).toEqual({
      title: 'a'
    })
    expect(decodeProblem(encodeProblem({ unprocessedOptions: [9, 11] }))).toEqual({ unprocessedOptions: [9, 11] })
  })

  test('reads text with a language, and the example of section 3.2', () => {
    const map = new Map<unknown, unknown>([
      [-1, new Tagged(38, ['en', 'title of the error'])],
      [-2, 'detailed information about the error'],
      [-3, 'coaps://pd.example/FA317434'],
      [-4, 128],
      [
        'tag:3gpp.org,2022-03:TS29112',
        new Map<unknown, unknown>([
          [0, 'machine-readable error cause'],
          [1, [['first parameter name', 'must be a positive integer']]]
        ])
      ]
    ])
    expect(decodeProblem(encode(map))).toEqual({
      title: 'title of the error',
      detail: 'detailed information about the error',
      instance: 'coaps://pd.example/FA317434',
      responseCode: 128
    })
  })

  test('ignores entries that are unknown or of another type', () => {
    const map = new Map<unknown, unknown>([
      [-1, 5],
      [-2, new Tagged(38, 'no list')],
      [-4, 'x'],
      [-8, ['x', -1, 6]],
      [-99, 1],
      [
        7807,
        new Map<unknown, unknown>([
          [0, 1],
          [1, 'x'],
          [9, 9],
          ['__proto__', 1]
        ])
      ]
    ])
    const problem = decodeProblem(encode(map))
    expect(problem.unprocessedOptions).toEqual([6])
    expect(Object.keys(problem)).toEqual(['unprocessedOptions', 'members'])
    expect(JSON.stringify(problem.members)).toBe('{"__proto__":1}')
  })

  test('refuses what is no map', () => {
    expect(() => decodeProblem(Uint8Array.of(0x80))).toThrow(expect.objectContaining({ status: 400 }))
    expect(() => decodeProblem(Uint8Array.of())).toThrow(expect.objectContaining({ status: 400 }))
  })

  test('turns members into JSON, whatever they are in CBOR', () => {
    const odd = new Map<unknown, unknown>([
      [-1, Uint8Array.of(255, 254)],
      ['__proto__', [undefined, Number.NaN]],
      ['t', new Tagged(1, 'x')],
      ['b', 1n << 60n]
    ])
    const { members } = decodeProblem(encode(new Map([[7807, new Map([['m', odd]])]])))
    expect(JSON.stringify(members)).toBe('{"m":{"-1":"__4","b":"1152921504606846976","t":"x","__proto__":[null,null]}}')
  })

  test.each([
    ['text cut short', 'a12064'],
    ['a key twice', 'a220612020612a'],
    ['nesting that no stack takes', `a120${'81'.repeat(60_000)}00`],
    ['tags that nest without end', `a120${'c1'.repeat(60_000)}00`],
    ['more bytes than a problem has', `a1205a00010000${'00'.repeat(0x10000)}`]
  ])('refuses %s', (_, bytes) => {
    const refused = expect.objectContaining({ status: 400, code: 'malformed-problem' })
    expect(() => decodeProblem(Buffer.from(bytes, 'hex'))).toThrow(refused)
  })
})
