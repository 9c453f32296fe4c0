import { describe, expect, test } from 'vitest'
import { virtualClock } from '../src/virtual/clock.ts'

describe('virtual clock', () => {
  test('moves only when the test moves it', async () => {
    const clock = virtualClock({ start: 1000 })
    let runs = 0
    clock.setTimeout(() => runs++, 0)
    await new Promise(resolve => setTimeout(resolve, 5))
    expect([clock.now(), runs, clock.pending]).toEqual([1000, 0, 1])
    await clock.advance(0)
    expect([clock.now(), runs, clock.pending]).toEqual([1000, 1, 0])
  })

  test('stands still until work that takes real time has settled', async () => {
    const clock = virtualClock()
    const order: string[] = []
    clock.setTimeout(() => order.push('late'), 5)
    const work = new Promise(resolve => setTimeout(resolve, 10))
    clock.hold(work)
    const begun = work.then(() => clock.setTimeout(() => order.push('in time'), 1))
    await clock.advance(5)
    expect(order).toEqual(['in time', 'late'])
    clock.hold(Promise.reject(new Error('not loaded')))
    await clock.advance(1)
    await begun
  })

  test('runs timers by due time, and in order of creation for the same time', async () => {
    const clock = virtualClock()
    const order: string[] = []
    const set = (name: string, ms: number) => clock.setTimeout(() => order.push(`${name}@${clock.now()}`), ms)
    set('c', 20)
    set('a', 10)
    set('d', 20)
    set('b', 15)
    set('late', 21)
    await clock.advance(20)
    expect(order).toEqual(['a@10', 'b@15', 'c@20', 'd@20'])
    expect([clock.now(), clock.pending]).toEqual([20, 1])
  })

  test('keeps the order of a thousand timers, half of them cleared', async () => {
    const clock = virtualClock()
    const order: number[] = []
    const handles = Array.from({ length: 1000 }, (_, i) => {
      const due = (i * 7919) % 1000
      return clock.setTimeout(() => order.push(due), due)
    })
    for (const [i, handle] of handles.entries()) if (i % 2) clock.clearTimeout(handle)
    expect(clock.pending).toBe(500)
    await clock.advance(1000)
    expect(order).toHaveLength(500)
    expect(order).toEqual([...order].sort((a, b) => a - b))
  })

  test('lets promises settle between two timers', async () => {
    const clock = virtualClock()
    const order: string[] = []
    clock.setTimeout(async () => {
      await null
      await null
      order.push('awaited')
      clock.setTimeout(() => order.push('set by it'), 5)
    }, 10)
    clock.setTimeout(() => order.push('next'), 12)
    clock.setTimeout(() => order.push('last'), 20)
    await clock.advance(30)
    expect(order).toEqual(['awaited', 'next', 'set by it', 'last'])
  })

  test('clears a timer, also inside a callback, and accepts any handle twice', async () => {
    const clock = virtualClock()
    const order: string[] = []
    const second = clock.setTimeout(() => order.push('second'), 10)
    clock.setTimeout(() => clock.clearTimeout(second), 5)
    const first = clock.setTimeout(() => order.push('first'), 1)
    await clock.advance(20)
    clock.clearTimeout(first)
    clock.clearTimeout(second)
    clock.clearTimeout(undefined)
    expect(order).toEqual(['first'])
    expect(clock.pending).toBe(0)
  })

  test('runs until a condition holds, and stops there', async () => {
    const clock = virtualClock()
    let runs = 0
    const tick = (): void => {
      runs++
      clock.setTimeout(tick, 100)
    }
    tick()
    await clock.runUntil(() => runs === 5)
    expect([runs, clock.now()]).toEqual([5, 400])
  })

  test('runs until a promise has settled, and returns its value or throws its error', async () => {
    const clock = virtualClock()
    const after = (ms: number) => new Promise<number>(resolve => clock.setTimeout(() => resolve(clock.now()), ms))
    expect(await clock.runUntil(after(250))).toBe(250)
    await expect(clock.runUntil(after(10).then(() => Promise.reject(new Error('no'))))).rejects.toThrow('no')
  })

  test('reports a wait that can never end', async () => {
    const clock = virtualClock()
    await expect(clock.runUntil(() => false)).rejects.toThrow(/No timer is left at 0 ms/)
    clock.setTimeout(() => {}, 5000)
    await expect(clock.runUntil(new Promise(() => {}), 1000)).rejects.toThrow(/within 1000 ms; 1 timers/)
  })

  test('rethrows errors of callbacks', async () => {
    const clock = virtualClock()
    clock.setTimeout(() => {
      throw new Error('from a callback')
    }, 1)
    await expect(clock.advance(1)).rejects.toThrow('from a callback')
  })

  test('runs hours in a moment', async () => {
    const clock = virtualClock()
    let runs = 0
    const hourly = (): void => {
      runs++
      clock.setTimeout(hourly, 3_600_000)
    }
    clock.setTimeout(hourly, 3_600_000)
    await clock.advance(365 * 24 * 3_600_000)
    expect(runs).toBe(8760)
  })
})
