import { describe, expect, test } from 'vitest'
import { Documents, type Kept } from '../src/documents.ts'

const kept = (key: string): Kept => ({ key, state: {}, version: 1, changed: 0, size: 2, tag: '' })

describe('a list of documents', () => {
  test('gives each document that stays once while others come and go', () => {
    for (const reverse of [false, true]) {
      for (let run = 0; run < 50; run++) {
        const documents = new Documents(10)
        const staying = Array.from({ length: 20 }, (_, at) => `s${String(at).padStart(2, '0')}`)
        for (const key of staying) {
          documents.put(kept(key))
          documents.put(kept(`${key}-old`))
        }
        const given: string[] = []
        for (const { key } of documents.list('', '', reverse)) {
          given.push(key)
          const near = staying[(given.length * (run + 3)) % staying.length] as string
          if (run % 2 === 0) documents.delete(`${near}-old`, { version: 2, changed: 0 })
          else documents.put(kept(`${near}-new${run}`))
        }
        expect(given.filter(key => key.length === 3)).toEqual(reverse ? staying.toReversed() : staying)
        expect(new Set(given).size).toBe(given.length)
      }
    }
  })

  test('goes on behind a document that was deleted while it was given', () => {
    for (const [reverse, expected] of [
      [false, 'abc'],
      [true, 'cba']
    ] as const) {
      const documents = new Documents(10)
      for (const key of ['a', 'b', 'c']) documents.put(kept(key))
      let given = ''
      for (const { key } of documents.list('', '', reverse)) {
        given += key
        documents.delete(key, { version: 2, changed: 0 })
      }
      expect(given).toBe(expected)
    }
  })

  test('begins behind a key, whether it is there or not, and ends with its prefix', () => {
    const documents = new Documents(10)
    for (const key of ['a', 'b1', 'b3', 'b5', 'c']) documents.put(kept(key))
    const list = (...range: Parameters<Documents['list']>): string => Array.from(documents.list(...range), ({ key }) => key).join(' ')
    expect([list(), list('', 'b1'), list('', 'b2'), list('b'), list('b', 'b3'), list('b', 'b9')]).toEqual([
      'a b1 b3 b5 c',
      'b3 b5 c',
      'b3 b5 c',
      'b1 b3 b5',
      'b5',
      ''
    ])
    expect([list('', '', true), list('b', '', true), list('b', 'b1', true), list('', 'b3', true)]).toEqual([
      'c b5 b3 b1 a',
      'b5 b3 b1',
      'b5 b3',
      'c b5'
    ])
  })
})
