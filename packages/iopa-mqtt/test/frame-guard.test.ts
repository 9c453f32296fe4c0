import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameGuard } from '../src/codec/frame-guard.ts'
import { ProtocolError } from '../src/codec/protocol-error.ts'

const frame = (first: number, body: Buffer): Buffer => {
  const length: number[] = []
  let rest = body.length
  do {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    rest >>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from([first, ...length]), body])
}

const collect = (limit: number, chunks: readonly Uint8Array[]): Buffer[] => {
  const frames: Buffer[] = []
  const guard = new FrameGuard(limit, (bytes, start, _body, end) => frames.push(Buffer.from(bytes.subarray(start, end))) > 0)
  for (const chunk of chunks) guard.push(chunk)
  return frames
}

const reasonOf = (work: () => unknown): number | undefined => {
  try {
    work()
  } catch (error) {
    if (error instanceof ProtocolError) return error.reasonCode
  }
  return undefined
}

describe('the frame guard', () => {
  test('cuts the same packets wherever the stream is split', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 400 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 20 }),
        (bodies, cuts) => {
          const frames = bodies.map(body => frame(0x30, Buffer.from(body)))
          const stream = Buffer.concat(frames)
          const chunks: Buffer[] = []
          let at = 0
          for (const cut of cuts) {
            chunks.push(stream.subarray(at, at + cut))
            at += cut
          }
          chunks.push(stream.subarray(at))
          expect(collect(100_000, chunks)).toEqual(frames)
        }
      )
    )
  })

  test('returns the offset of the fields after the length', () => {
    const bodies: number[] = []
    const guard = new FrameGuard(1 << 20, (_bytes, start, body) => bodies.push(body - start) > 0)
    guard.push(Buffer.concat([frame(0x30, Buffer.alloc(5)), frame(0x30, Buffer.alloc(200)), frame(0x30, Buffer.alloc(20_000))]))
    expect(bodies).toEqual([2, 3, 4])
  })

  test('refuses a packet over the limit by its header, before its content arrives', () => {
    expect(reasonOf(() => collect(1000, [Buffer.from([0x30, 0xe8, 0x07])]))).toBe(0x95)
    expect(collect(1003, [frame(0x30, Buffer.alloc(1000))])).toHaveLength(1)
    expect(reasonOf(() => collect(1002, [frame(0x30, Buffer.alloc(1000))]))).toBe(0x95)
  })

  test('refuses a length of more than four bytes, or one that is longer than it needs to be', () => {
    expect(reasonOf(() => collect(1 << 20, [Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01])]))).toBe(0x81)
    expect(reasonOf(() => collect(1 << 20, [Buffer.from([0x30, 0x80, 0x00])]))).toBe(0x81)
  })

  test('keeps the rest when the handler stops, and continues from there', () => {
    const seen: number[] = []
    const guard = new FrameGuard(1000, (bytes, start) => {
      seen.push(bytes[start] as number)
      return seen.length % 2 === 0
    })
    guard.push(Buffer.from([0x10, 0, 0x20, 0, 0x30, 0, 0x40]))
    expect(seen).toEqual([0x10])
    guard.push(Buffer.from([0]))
    expect(seen).toEqual([0x10])
    guard.resume()
    expect(seen).toEqual([0x10, 0x20, 0x30])
    expect(guard.waiting).toBe(2)
    guard.resume()
    expect(seen).toEqual([0x10, 0x20, 0x30, 0x40])
    expect(guard.waiting).toBe(0)
  })

  test('does not change packets that it returned earlier', () => {
    const kept: Buffer[] = []
    const guard = new FrameGuard(1000, (bytes, start, _body, end) => kept.push(bytes.subarray(start, end)) > 0)
    const first = frame(0x30, Buffer.alloc(50, 1))
    const second = frame(0x30, Buffer.alloc(50, 2))
    const stream = Buffer.concat([first, second])
    guard.push(stream.subarray(0, 10))
    guard.push(stream.subarray(10, 60))
    guard.push(stream.subarray(60))
    expect(kept).toEqual([first, second])
  })

  test('handles nothing after it was closed, not even the rest of the same chunk', () => {
    let count = 0
    const guard: FrameGuard = new FrameGuard(1000, () => {
      count++
      guard.close()
      return false
    })
    guard.push(Buffer.from([0xc0, 0, 0xc0, 0]))
    guard.push(Buffer.from([0xc0, 0]))
    guard.resume()
    expect(count).toBe(1)
    expect(guard.waiting).toBe(0)
  })

  test('holds nothing after it was closed with waiting data', () => {
    const guard: FrameGuard = new FrameGuard(1000, () => {
      guard.close()
      return false
    })
    guard.push(Buffer.from([0xc0]))
    guard.push(Buffer.from([0, 0xc0, 0]))
    expect(guard.waiting).toBe(0)
  })
})
