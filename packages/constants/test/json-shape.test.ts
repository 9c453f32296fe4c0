import { parseJson } from '@iopa/constants'
import { describe, expect, test } from 'vitest'

const MIB = 1024 * 1024
const listOf = (item: string): string => `[${`${item},`.repeat(Math.floor(MIB / (item.length + 1)))}1]`

describe('JSON whose values would take many times its size', () => {
  test.each(['[]', '{}', '{"":0}', '[[]]'])('is refused with 413 as a list of %s', item => {
    expect(() => parseJson(listOf(item))).toThrow(expect.objectContaining({ status: 413, code: 'json-too-dense' }))
  })

  test.each(['1', '"a"', '{"id":1,"on":true}', '[1,2]', '"[[[[[[[[{{{{{{{{::::::::"', '"\\"[[[[[[\\\\"', 'null'])(
    'is accepted as a list of %s',
    item => {
      expect((parseJson(listOf(item)) as unknown[]).length).toBeGreaterThan(10_000)
    }
  )

  test('is refused with 400 if nested deeply', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ' '.repeat(20_000) + ']'.repeat(depth)
    expect(() => parseJson(nested(1001))).toThrow(expect.objectContaining({ status: 400, code: 'json-too-deep' }))
    expect(parseJson(nested(1000))).toBeInstanceOf(Array)
  })

  test('has another error than malformed JSON', () => {
    for (const text of [`"${'x'.repeat(MIB)}`, `]${' '.repeat(MIB)}`, `"${'\\'.repeat(MIB)}`])
      expect(() => parseJson(text)).toThrow(expect.objectContaining({ status: 400, code: 'malformed-json' }))
  })
})
