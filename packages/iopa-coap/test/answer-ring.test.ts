import { describe, expect, test } from 'vitest'
import { AnswerRing, IN_PROGRESS, UNSEEN } from '../src/messages/answer-ring.ts'

const budget = (peerBytes = 65_536, bytes = 1 << 20) => ({ peerBytes, bytes, used: 0 })
const LIFE = 247
const answerOf = (n: number, length: number) => Uint8Array.from({ length }, (_, i) => (n * 31 + i) & 255)

describe('the answer ring', () => {
  test('marks a message before it is answered and then gives the answer back', () => {
    const table = new AnswerRing(budget())
    expect(table.find(7, 1, 0, LIFE)).toBe(UNSEEN)
    table.begin(7)
    expect(table.find(7, 1, 0, LIFE)).toBe(IN_PROGRESS)
    table.suspend(7)
    expect(table.find(7, 1, 0, LIFE)).toBe(IN_PROGRESS)
    table.record(7, 1, 0, answerOf(7, 20))
    expect(table.answer(table.find(7, 1, 100, LIFE))).toEqual(answerOf(7, 20))
  })

  test('has nothing to repeat for a message without an answer', () => {
    const table = new AnswerRing(budget())
    table.record(7, 1, 0, undefined)
    expect(table.answer(table.find(7, 1, 1, LIFE))).toBeUndefined()
  })

  test('lets an id be used again after its lifetime, or with another token', () => {
    const table = new AnswerRing(budget())
    table.record(7, 1, 10, answerOf(1, 8))
    expect(table.find(7, 1, 10 + LIFE - 1, LIFE)).toBeGreaterThanOrEqual(0)
    expect(table.find(7, 1, 10 + LIFE, LIFE)).toBe(UNSEEN)
    expect(table.find(7, 2, 11, LIFE)).toBe(UNSEEN)
  })

  test('keeps the newest answers and forgets the oldest when its bytes are used up', () => {
    const shared = budget(4096)
    const table = new AnswerRing(shared)
    for (let id = 0; id < 1000; id++) table.record(id, id, 1, answerOf(id, 20))
    expect(shared.used).toBe(4096)
    // 36 bytes each.
    const kept = Math.floor(4096 / 36) - 1
    for (let id = 0; id < 999 - kept - 1; id++) expect(table.find(id, id, 1, LIFE)).toBe(UNSEEN)
    for (let id = 999; id > 999 - kept; id--) expect(table.answer(table.find(id, id, 1, LIFE))).toEqual(answerOf(id, 20))
  })

  test('does not grow over what all tables may take together, but for the first 512 bytes of each', () => {
    const shared = budget(65_536, 2048)
    const tables = [new AnswerRing(shared), new AnswerRing(shared), new AnswerRing(shared)]
    for (const table of tables) for (let id = 0; id < 100; id++) table.record(id, 0, 0, answerOf(id, 30))
    expect(tables.map(table => table.bytes)).toEqual([2048, 512, 512])
    expect(shared.used).toBe(2048 + 512 + 512)
    for (const table of tables) expect(table.answer(table.find(99, 0, 0, LIFE))).toEqual(answerOf(99, 30))
    tables[0]!.clear()
    expect(shared.used).toBe(1024)
  })

  test('does not keep an answer that is larger than all it may hold, and still knows the message', () => {
    const table = new AnswerRing(budget(1024))
    table.begin(1)
    table.record(1, 0, 0, answerOf(1, 2000))
    expect(table.answer(table.find(1, 0, 0, LIFE))).toBeUndefined()
  })

  test('agrees with a plain model for any order of sizes and ids', () => {
    let seed = 42
    const random = (n: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
      return seed % n
    }
    for (let run = 0; run < 60; run++) {
      const table = new AnswerRing(budget(512 << random(5)))
      const model = new Map<number, Uint8Array>()
      for (let step = 0; step < 400; step++) {
        const id = random(120)
        const answer = answerOf(step, random(random(10) === 0 ? 400 : 40) + 1)
        if (random(4) === 0) table.begin(id)
        table.record(id, id, 0, answer)
        model.set(id, answer)
        // Whatever it still remembers is right, and the last one is always there unless it can never fit.
        for (const [known, expected] of model) {
          const at = table.find(known, known, 0, LIFE)
          if (at >= 0 && Buffer.compare(table.answer(at)!, expected) !== 0)
            throw new Error(`run ${run}, step ${step}: id ${known} has another answer`)
        }
        if (answer.length < 480 && table.find(id, id, 0, LIFE) < 0) throw new Error(`run ${run}, step ${step}: the last one is gone`)
      }
    }
  })
})
