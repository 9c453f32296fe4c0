import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SendBuffer } from '../../../src/broker/connection/send-buffer.ts'

describe('a send buffer', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('append' as const), from: fc.nat(9000), length: fc.oneof(fc.nat(200), fc.nat(9000)), next: fc.boolean() }),
    fc.record({ kind: fc.constant('reserve' as const), length: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 70_000 })) }),
    fc.constant({ kind: 'flush' as const }),
    fc.constant({ kind: 'drain' as const })
  )

  test('writes exactly the appended bytes, in order, one write per flush, for any mixture', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(fc.boolean(), { maxLength: 20 }), (steps, takes) => {
        const memory = Buffer.from(Array.from({ length: 18_100 }, (_, index) => index % 251))
        const expected: Buffer[] = []
        const written: Buffer[] = []
        let scheduled = 0
        let writes = 0
        const buffer = new SendBuffer(
          {
            write: bytes => {
              writes++
              written.push(Buffer.from(bytes))
              return takes[writes % Math.max(1, takes.length)] ?? true
            }
          },
          1000,
          () => void scheduled++
        )
        let last = 0
        let mark = 0
        for (const one of steps) {
          if (one.kind === 'append') {
            const start = one.next ? last : one.from
            buffer.append(memory, start, (last = Math.min(18_100, start + one.length)))
            expected.push(memory.subarray(start, last))
          } else if (one.kind === 'reserve') {
            mark = (mark + 1) % 256
            const at = buffer.reserve(one.length)
            buffer.block.fill(mark, at, at + one.length)
            expected.push(Buffer.alloc(one.length, mark))
          } else {
            const before = writes
            if (one.kind === 'flush') buffer.flush()
            else buffer.drained()
            expect(writes - before).toBeLessThanOrEqual(1)
          }
          expect(buffer.size + Buffer.concat(written).length).toBe(Buffer.concat(expected).length)
        }
        for (let round = 0; buffer.size > 0 && round < 5; round++) buffer.drained()
        expect(Buffer.concat(written).equals(Buffer.concat(expected))).toBe(true)
        expect(scheduled).toBeLessThanOrEqual(steps.length)
      }),
      { numRuns: 300 }
    )
  })

  test('does not copy what lies beside each other', () => {
    const memory = Buffer.alloc(1000)
    const written: Uint8Array[] = []
    const buffer = new SendBuffer({ write: bytes => written.push(bytes) > 0 }, 1000, () => undefined)
    for (let at = 0; at < 1000; at += 100) buffer.append(memory, at, at + 100)
    buffer.flush()
    expect(written).toHaveLength(1)
    expect(written[0]?.buffer).toBe(memory.buffer)
  })

  test('does not hold a large chunk for a small piece of it', () => {
    const memory = Buffer.alloc(100_000)
    const written: Uint8Array[] = []
    const buffer = new SendBuffer({ write: bytes => written.push(bytes) > 0 }, 1000, () => undefined)
    buffer.append(memory, 0, 100)
    buffer.flush()
    expect(written[0]?.buffer).not.toBe(memory.buffer)
  })

  test('is full only when its sink has asked to wait and the mark is reached', () => {
    const buffer = new SendBuffer({ write: () => false }, 1000, () => undefined)
    const bytes = Buffer.alloc(600)
    buffer.append(bytes, 0, 600)
    buffer.append(bytes, 0, 600)
    expect(buffer.full).toBe(false)
    buffer.flush()
    buffer.append(bytes, 0, 600)
    expect(buffer.full).toBe(false)
    buffer.append(bytes, 0, 600)
    expect(buffer.full).toBe(true)
    buffer.drained()
    expect(buffer.full).toBe(false)
  })

  test('takes nothing after it was closed', () => {
    let writes = 0
    const buffer = new SendBuffer({ write: () => ++writes > 0 }, 1000, () => undefined)
    buffer.append(Buffer.alloc(10), 0, 10)
    buffer.close()
    buffer.append(Buffer.alloc(10), 0, 10)
    buffer.flush()
    expect(writes).toBe(0)
    expect(buffer.size).toBe(0)
  })
})
