import { describe, expect, test } from 'vitest'
import { BERT } from '../src/codec/block.ts'
import { Uploads } from '../src/exchanges/uploads.ts'

const LIMITS = { body: 4096, bytes: 8192, count: 4, countPerOwner: 2, lifetime: 60_000 }
const fill = (length: number, value = 1) => new Uint8Array(length).fill(value)
const owner = {}

describe('block-wise uploads', () => {
  test('join blocks in order into one body', () => {
    const uploads = new Uploads(LIMITS)
    expect(uploads.accept(owner, 'k', { num: 0, more: true, szx: 2 }, fill(64, 1), undefined, 0)).toEqual({ outcome: 'continue' })
    expect(uploads.accept(owner, 'k', { num: 1, more: true, szx: 2 }, fill(64, 2), undefined, 0)).toEqual({ outcome: 'continue' })
    const done = uploads.accept(owner, 'k', { num: 2, more: false, szx: 2 }, fill(10, 3), undefined, 0)
    expect(done).toEqual({ outcome: 'complete', body: Uint8Array.from([...fill(64, 1), ...fill(64, 2), ...fill(10, 3)]) })
    expect([uploads.size, uploads.bytes]).toEqual([0, 0])
  })

  test('go on in smaller blocks when the size changes on the way', () => {
    const uploads = new Uploads(LIMITS)
    uploads.accept(owner, 'k', { num: 0, more: true, szx: 6 }, fill(1024), undefined, 0)
    expect(uploads.accept(owner, 'k', { num: 16, more: true, szx: 2 }, fill(64), undefined, 0).outcome).toBe('continue')
    expect(uploads.accept(owner, 'k', { num: 17, more: false, szx: 2 }, fill(1), undefined, 0).outcome).toBe('complete')
  })

  test('accept the last block once more, and refuse a gap', () => {
    const uploads = new Uploads(LIMITS)
    uploads.accept(owner, 'k', { num: 0, more: true, szx: 0 }, fill(16), undefined, 0)
    uploads.accept(owner, 'k', { num: 1, more: true, szx: 0 }, fill(16), undefined, 0)
    expect(uploads.accept(owner, 'k', { num: 1, more: true, szx: 0 }, fill(16), undefined, 0).outcome).toBe('continue')
    expect(uploads.accept(owner, 'k', { num: 3, more: true, szx: 0 }, fill(16), undefined, 0).outcome).toBe('incomplete')
    const done = uploads.accept(owner, 'k', { num: 2, more: false, szx: 0 }, fill(1), undefined, 0)
    expect(done.outcome === 'complete' && done.body.length).toBe(33)
  })

  test('begin again with block 0, and refuse a later block of something unknown', () => {
    const uploads = new Uploads(LIMITS)
    expect(uploads.accept(owner, 'k', { num: 1, more: true, szx: 0 }, fill(16), undefined, 0).outcome).toBe('incomplete')
    uploads.accept(owner, 'k', { num: 0, more: true, szx: 0 }, fill(16, 1), undefined, 0)
    uploads.accept(owner, 'k', { num: 0, more: true, szx: 0 }, fill(16, 2), undefined, 0)
    const done = uploads.accept(owner, 'k', { num: 1, more: false, szx: 0 }, fill(1, 3), undefined, 0)
    expect(done).toEqual({ outcome: 'complete', body: Uint8Array.from([...fill(16, 2), 3]) })
    expect([uploads.size, uploads.bytes]).toEqual([0, 0])
  })

  test('keep apart what has different keys', () => {
    const uploads = new Uploads(LIMITS)
    uploads.accept(owner, 'a', { num: 0, more: true, szx: 0 }, fill(16, 1), undefined, 0)
    uploads.accept(owner, 'b', { num: 0, more: true, szx: 0 }, fill(16, 2), undefined, 0)
    const a = uploads.accept(owner, 'a', { num: 1, more: false, szx: 0 }, fill(0), undefined, 0)
    expect(a).toEqual({ outcome: 'complete', body: fill(16, 1) })
  })

  test('refuse a payload that is not as long as its block says', () => {
    const uploads = new Uploads(LIMITS)
    expect(uploads.accept(owner, 'k', { num: 0, more: true, szx: 0 }, fill(15), undefined, 0).outcome).toBe('malformed')
    expect(uploads.accept(owner, 'k', { num: 0, more: false, szx: 0 }, fill(17), undefined, 0).outcome).toBe('malformed')
    expect(uploads.accept(owner, 'k', { num: 0, more: true, szx: BERT }, fill(1500), undefined, 0).outcome).toBe('malformed')
    expect(uploads.accept(owner, 'k', { num: 0, more: true, szx: BERT }, fill(2048), undefined, 0).outcome).toBe('continue')
    expect(uploads.accept(owner, 'k', { num: 2, more: false, szx: BERT }, fill(1500), undefined, 0).outcome).toBe('complete')
  })

  test('refuse a body over its limit as soon as that is known', () => {
    const uploads = new Uploads(LIMITS)
    expect(uploads.accept(owner, 'k', { num: 0, more: true, szx: 6 }, fill(1024), 5000, 0).outcome).toBe('too-large')
    expect(uploads.size).toBe(0)
    for (let num = 0; num < 4; num++)
      expect(uploads.accept(owner, 'k', { num, more: true, szx: 6 }, fill(1024), undefined, 0).outcome).toBe('continue')
    expect(uploads.accept(owner, 'k', { num: 4, more: false, szx: 6 }, fill(1), undefined, 0).outcome).toBe('too-large')
    expect([uploads.size, uploads.bytes]).toEqual([0, 0])
  })

  test('hold no more bodies and bytes than they may, for one owner and in all, and drop what is not continued', () => {
    const uploads = new Uploads(LIMITS)
    const begin = (who: object, key: string, now = 0) => uploads.accept(who, key, { num: 0, more: true, szx: 6 }, fill(1024), undefined, now).outcome
    const [a, b, c] = [{}, {}, {}]
    expect([begin(a, '1'), begin(a, '2'), begin(a, '3')]).toEqual(['continue', 'continue', 'full'])
    expect([begin(b, '4'), begin(b, '5'), begin(c, '6')]).toEqual(['continue', 'continue', 'full'])
    for (let num = 1; num < 4; num++) uploads.accept(a, '1', { num, more: true, szx: 6 }, fill(1024), undefined, 0)
    for (let num = 1; num < 4; num++) uploads.accept(a, '2', { num, more: true, szx: 6 }, fill(1024), undefined, 0)
    expect(uploads.bytes).toBeLessThanOrEqual(LIMITS.bytes)
    expect(begin(c, '6', 60_000)).toBe('continue')
    expect(uploads.size).toBe(1)
    uploads.forget(c)
    expect([uploads.size, uploads.bytes]).toEqual([0, 0])
  })
})
