import { Backoff } from '@iopa/transport'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AckQueue, type AckSlot } from '../src/bridge/acknowledgements.ts'
import { Inbox } from '../src/bridge/inbox.ts'
import { outcomeOf } from '../src/bridge/worker.ts'

describe('acknowledgements', () => {
  test('leave in the order of arrival, whatever the order of completion', () => {
    fc.assert(
      fc.property(fc.nat(30), fc.infiniteStream(fc.nat()), (count, choices) => {
        const released: number[] = []
        const queue = new AckQueue('strict', id => released.push(id))
        const open: AckSlot[] = []
        for (let id = 1; id <= count; id++) open.push(queue.add(id))
        for (const choice of choices) {
          if (open.length === 0) break
          const [slot] = open.splice(choice % open.length, 1)
          queue.complete(slot!)
          queue.complete(slot!)
          expect(released).toEqual(released.map((_, index) => index + 1))
          expect(released.length).toBeLessThan(open.reduce((least, { packetId }) => Math.min(least, packetId), count + 1))
        }
        expect(released).toHaveLength(count)
      })
    )
  })

  test('leave as they come when the order does not matter', () => {
    const released: number[] = []
    const queue = new AckQueue('any', id => released.push(id))
    const [one, two] = [queue.add(1), queue.add(2)]
    queue.complete(two)
    expect(released).toEqual([2])
    queue.complete(one)
    expect(released).toEqual([2, 1])
  })
})

describe('the inbox', () => {
  interface Job {
    readonly key: string
    readonly number: number
  }

  const make = (window: number, maxWaiting = 1000, maxWaitingBytes = 1_000_000) => {
    const running = new Map<Job, () => void>()
    const started: Job[] = []
    const inbox = new Inbox<Job>({
      window,
      maxWaiting,
      maxWaitingBytes,
      keyOf: job => job.key,
      sizeOf: () => 10,
      run: job => {
        started.push(job)
        return new Promise(resolve => running.set(job, resolve))
      }
    })
    const finish = async (job: Job): Promise<void> => {
      running.get(job)?.()
      running.delete(job)
      await Promise.resolve()
      await Promise.resolve()
    }
    return { inbox, running, started, finish }
  }

  test('works on different topics at once, on one topic in order, and never on more than its window', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 40 }),
        fc.integer({ min: 1, max: 3 }),
        fc.infiniteStream(fc.nat()),
        async (keys, window, choices) => {
          const { inbox, running, started, finish } = make(window)
          const jobs = keys.map((key, number) => ({ key, number }))
          for (const job of jobs) expect(inbox.offer(job)).toBe(true)
          for (const choice of choices) {
            expect(running.size).toBe(inbox.running)
            expect(running.size).toBeLessThanOrEqual(window)
            expect(new Set([...running.keys()].map(({ key }) => key)).size).toBe(running.size)
            if (running.size === 0) break
            await finish([...running.keys()][choice % running.size]!)
          }
          await inbox.idle()
          expect(started).toHaveLength(jobs.length)
          for (const key of 'abcd') expect(started.filter(job => job.key === key)).toEqual(jobs.filter(job => job.key === key))
          expect(inbox.waiting).toBe(0)
        }
      ),
      { numRuns: 100 }
    )
  })

  test('refuses messages over its limits of number and bytes', () => {
    const { inbox } = make(1, 2)
    expect([1, 2, 3, 4].map(number => inbox.offer({ key: 'a', number }))).toEqual([true, true, true, false])
    const small = make(1, 100, 25).inbox
    expect([1, 2, 3, 4].map(number => small.offer({ key: String(number), number }))).toEqual([true, true, true, false])
  })
})

describe('the inbox with one worker', () => {
  test('takes topics in turn, and frees room after a message is handled', async () => {
    const started: string[] = []
    const running: (() => void)[] = []
    const inbox = new Inbox<string>({
      window: 1,
      maxWaiting: 100,
      maxWaitingBytes: 30,
      keyOf: job => job.charAt(0),
      sizeOf: () => 10,
      run: job => {
        started.push(job)
        return new Promise(resolve => running.push(resolve))
      }
    })
    const finish = async (): Promise<void> => {
      running.shift()?.()
      await Promise.resolve()
      await Promise.resolve()
    }
    expect(['a1', 'a2', 'b1', 'a3', 'a4'].map(job => inbox.offer(job))).toEqual([true, true, true, true, false])
    await finish()
    expect(inbox.offer('a5')).toBe(true)
    for (let times = 0; times < 5; times++) await finish()
    expect(started).toEqual(['a1', 'b1', 'a2', 'a3', 'a5'])
    expect(['c1', 'c2', 'c3', 'c4', 'c5'].map(job => inbox.offer(job))).toEqual([true, true, true, true, false])
  })
})

describe('attempts', () => {
  test('wait twice as long each time up to the longest wait, spread over half of it', () => {
    for (const [random, factor] of [
      [0, 0.5],
      [0.5, 0.75]
    ] as const) {
      const backoff = new Backoff({ initial: 1000, maximum: 60_000, random: () => random })
      expect(Array.from({ length: 8 }, () => backoff.next())).toEqual([1, 2, 4, 8, 16, 32, 60, 60].map(seconds => seconds * 1000 * factor))
      backoff.reset()
      expect(backoff.next()).toBe(1000 * factor)
    }
  })

  test.each([
    ['acknowledge', [200, 201, 204, 304, 404, 405, 410]],
    ['dead-letter', [400, 401, 403, 409, 412, 413, 415, 422, 501]],
    ['hold', [429, 503]],
    ['retry', [408, 500, 502, 504]]
  ] as const)('end as %s for %j', (outcome, statuses) => {
    expect(statuses.map(outcomeOf)).toEqual(statuses.map(() => outcome))
  })
})
