import type { LinkAnswer } from '@iopa/context'
import { receivedAnswer } from '@iopa/context/host'
import { describe, expect, test } from 'vitest'
import { AnswerQueue } from '../src/client/answer-queue.ts'

describe('AnswerQueue', () => {
  const bytes = (count: number): LinkAnswer => receivedAnswer(200, { payload: new Uint8Array(count) })
  const sizes = async (queue: AnswerQueue): Promise<number[]> => {
    queue.end()
    const seen: number[] = []
    for (let next = await queue.next(); next.done !== true; next = await queue.next()) seen.push(next.value.payloadBytes.length)
    return seen
  }

  test('keeps the newest answers within its bytes, and one that is larger', async () => {
    const queue = new AnswerQueue({ queueMessages: 100, queueBytes: 10 })
    for (const size of [4, 3, 5, 2]) queue.push(bytes(size))
    expect(await sizes(queue)).toEqual([3, 5, 2])
    const large = new AnswerQueue({ queueMessages: 100, queueBytes: 10 })
    for (const size of [4, 50]) large.push(bytes(size))
    expect(await sizes(large)).toEqual([50])
  })

  test('has room again for answers that were read', async () => {
    const queue = new AnswerQueue({ queueMessages: 100, queueBytes: 10 })
    for (const size of [5, 5]) queue.push(bytes(size))
    await queue.next()
    await queue.next()
    for (const size of [6, 4]) queue.push(bytes(size))
    expect(await sizes(queue)).toEqual([6, 4])
  })
})
