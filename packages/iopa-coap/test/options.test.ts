import { describe, expect, test } from 'vitest'
import { OPTION } from '../src/codec/option-registry.ts'
import { OptionWalker, scanOptions } from '../src/codec/option-walker.ts'
import { Options } from '../src/codec/options.ts'

const numbers = (options: Options): number[] => [...options].map(([number]) => number)
const encoded = (options: Options): Uint8Array => options.bytes.slice(options.start, options.end)

describe('options', () => {
  test('keeps the order of numbers when one is added late, and the order of adding for equal numbers', () => {
    const options = new Options()
      .add(OPTION.URI_QUERY, 'q')
      .add(OPTION.URI_PATH, 'a')
      .add(OPTION.URI_PATH, 'b')
      .add(OPTION.IF_MATCH, Uint8Array.of(1))
    expect(numbers(options)).toEqual([1, 11, 11, 15])
    expect(options.getAll(OPTION.URI_PATH).map(value => Buffer.from(value).toString())).toEqual(['a', 'b'])
  })

  test('writes integers in the fewest bytes, up to six', () => {
    for (const [value, size] of [
      [0, 0],
      [255, 1],
      [256, 2],
      [65_536, 3],
      [0xffffffff, 4],
      [0x100000000, 5],
      [2 ** 48 - 1, 6]
    ] as const) {
      const options = new Options().add(OPTION.SIZE1, value)
      expect([options.get(OPTION.SIZE1)?.length, options.uint(OPTION.SIZE1)]).toEqual([size, value])
    }
  })

  test('reads the options of a message in place, and copies them before a change', () => {
    const message = encoded(new Options().add(OPTION.URI_PATH, 'x').add(OPTION.ACCEPT, 50))
    const before = message.slice()
    const options = new Options(message, 0, message.length)
    expect(options.bytes).toBe(message)
    options.add(OPTION.BLOCK2, 6).set(OPTION.ACCEPT, 0)
    expect(message).toEqual(before)
    expect([numbers(options), options.uint(OPTION.ACCEPT)]).toEqual([[11, 17, 23], 0])
  })

  test('is independent of its copy, and equal to one with the same bytes', () => {
    const options = new Options().add(OPTION.URI_PATH, 'x')
    const copy = options.copy()
    expect(copy.equals(options)).toBe(true)
    copy.add(OPTION.ACCEPT, 0)
    expect([copy.equals(options), numbers(options), copy.size]).toEqual([false, [11], 2])
  })

  test('is empty after a reset, and after its only option was deleted', () => {
    const options = new Options().add(OPTION.MAX_AGE, 5)
    expect([options.copy().delete(OPTION.MAX_AGE).size, options.reset().size, options.length]).toEqual([0, 0, 0])
    expect(options.has(OPTION.MAX_AGE)).toBe(false)
  })
})

describe('the option walker', () => {
  test('stops at the payload marker, and at malformed options', () => {
    expect(scanOptions(Uint8Array.of(0xb1, 0x78, 0xff, 1), 0)).toBe(2)
    expect(scanOptions(Uint8Array.of(0xb1, 0x78), 0)).toBe(2)
    // A marker without payload, reserved nibbles, a value past the end, a number over 65535.
    for (const bytes of [[0xff], [0xf0], [0x0f], [0xb2, 0x78], [0xd0], [0xe0, 1], [0x0d], [0x0e, 1], [0xe0, 0xff, 0xff]])
      expect(scanOptions(Uint8Array.from(bytes), 0)).toBe(-1)
  })

  test('gives number and offsets of each option, whatever the length of its header', () => {
    const options = new Options().add(OPTION.ECHO, new Uint8Array(20)).add(2000, new Uint8Array(300))
    const walker = new OptionWalker().begin(options.bytes, options.start, options.end)
    const seen: number[][] = []
    while (walker.next()) seen.push([walker.number, walker.start - walker.header, walker.end - walker.start])
    expect(seen).toEqual([
      [OPTION.ECHO, 3, 20],
      [2000, 5, 300]
    ])
  })
})
