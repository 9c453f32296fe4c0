import { createHash } from 'node:crypto'
import { contentTag } from '@iopa/appbuilder/extension'
import { shortTag, tagOfDigest } from '@iopa/transport'
import { matchesStrongly, matchesWeakly } from '@iopa/transport/host'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../src/validators/sha256.ts'

describe('sha256', () => {
  test('returns the same as the runtime, for every length around a block', () => {
    for (let length = 0; length < 200; length++) {
      const content = Uint8Array.from({ length: length + 1 }, (_, at) => (at * 37 + length) & 255).subarray(1)
      expect(Buffer.from(sha256(content)).toString('hex'), `${length} bytes`).toBe(createHash('sha256').update(content).digest('hex'))
    }
    const large = new Uint8Array(1_000_003).fill(7)
    expect(Buffer.from(sha256(large)).toString('hex')).toBe(createHash('sha256').update(large).digest('hex'))
  })
})

describe('contentTag', () => {
  test('has eight characters that CoAP and HTTP allow, the same for text and its bytes', () => {
    for (const text of ['', 'on', 'grün', 'x'.repeat(5000)]) {
      const tag = contentTag(text)
      expect(tag).toMatch(/^"[\w-]{8}"$/)
      expect(contentTag(new TextEncoder().encode(text))).toBe(tag)
      expect(tag).toBe(`"${createHash('sha256').update(text).digest('base64url').slice(0, 8)}"`)
      expect(tag).toBe(`"${tagOfDigest(createHash('sha256').update(text).digest())}"`)
      expect(shortTag(tag)).toBe(tag.slice(1, -1))
    }
  })
})

describe('comparison of entity tags', () => {
  test.each([
    // RFC 9110 section 8.8.3.2.
    ['W/"1"', 'W/"1"', false, true],
    ['W/"1"', 'W/"2"', false, false],
    ['W/"1"', '"1"', false, true],
    ['"1"', '"1"', true, true],
    ['"1"', '"2"', false, false],
    ['"a longer tag"', '"a longer tag"', true, true],
    [`"${shortTag('"a longer tag"')}"`, '"a longer tag"', true, true],
    [`"${shortTag('"a longer tag"')}"`, 'W/"a longer tag"', false, true],
    [`"${shortTag('"another tag"')}"`, '"a longer tag"', false, false]
  ])('%s and %s: strong %s, weak %s', (given, current, strong, weak) => {
    expect([matchesStrongly(given, current), matchesWeakly(given, current)]).toEqual([strong, weak])
  })
})
