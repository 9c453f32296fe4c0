import { describe, expect, test } from 'vitest'
import { Watcher } from '../src/watcher.ts'

const setup = () => {
  const states = new Map<string, string>()
  const changes: string[] = []
  const looks: string[] = []
  const timers = new Set<() => void>()
  const watcher = new Watcher(
    async path => {
      looks.push(path)
      const state = states.get(path)
      if (state === 'broken') throw new Error('EIO')
      return state ?? ''
    },
    path => changes.push(path),
    callback => {
      timers.add(callback)
      return () => timers.delete(callback)
    },
    500
  )
  const round = async (): Promise<void> => {
    const due = [...timers]
    timers.clear()
    for (const callback of due) callback()
    await new Promise(setImmediate)
  }
  return { watcher, states, changes, looks, timers, round }
}

describe('watcher', () => {
  test('reports a change once, and nothing while nothing changes', async () => {
    const { watcher, states, changes, round } = setup()
    states.set('/a', '1')
    watcher.watch('/a', '1')
    await round()
    expect(changes).toEqual([])
    states.set('/a', '2')
    await round()
    await round()
    expect(changes).toEqual(['/a'])
    states.delete('/a')
    await round()
    expect(changes).toEqual(['/a', '/a'])
  })

  test("reports a change between the observer's first answer and the first round", async () => {
    const { watcher, states, changes, round } = setup()
    states.set('/a', '2')
    watcher.watch('/a', '1')
    await round()
    expect(changes).toEqual(['/a'])
  })

  test('checks a path once for several observers', async () => {
    const { watcher, looks, round } = setup()
    for (let i = 0; i < 50; i++) watcher.watch('/a', '')
    await round()
    expect(looks).toEqual(['/a'])
  })

  test('has no timer before the first observer and after the last', async () => {
    const { watcher, timers, round } = setup()
    expect(timers.size).toBe(0)
    const first = watcher.watch('/a', '')
    const second = watcher.watch('/a', '')
    expect(timers.size).toBe(1)
    first()
    first()
    expect([timers.size, watcher.size]).toEqual([1, 1])
    await round()
    second()
    expect([timers.size, watcher.size]).toEqual([0, 0])
    watcher.watch('/b', '')
    expect(timers.size).toBe(1)
  })

  test('stops when the last observer leaves during a round', async () => {
    const { watcher, timers } = setup()
    const leave = watcher.watch('/a', '')
    const [due] = timers
    timers.clear()
    due!()
    leave()
    await new Promise(setImmediate)
    expect(timers.size).toBe(0)
  })

  test('keeps the state when a check fails', async () => {
    const { watcher, states, changes, round } = setup()
    watcher.watch('/a', '1')
    states.set('/a', 'broken')
    await round()
    states.set('/a', '1')
    await round()
    expect(changes).toEqual([])
    states.set('/a', '2')
    await round()
    expect(changes).toEqual(['/a'])
  })

  test('finishes a round before the next begins', async () => {
    let running = 0
    let most = 0
    let rounds = 0
    const timers: (() => void)[] = []
    const watcher = new Watcher(
      async () => {
        most = Math.max(most, ++running)
        await new Promise(setImmediate)
        running--
        rounds++
        return ''
      },
      () => {},
      callback => {
        timers.push(callback)
        return () => {}
      },
      1
    )
    for (let i = 0; i < 100; i++) watcher.watch(`/${i}`, '')
    expect(timers.length).toBe(1)
    timers.pop()!()
    await new Promise(setImmediate)
    watcher.watch('/another', '')
    expect(timers.length).toBe(0)
    while (timers.length === 0) await new Promise(setImmediate)
    expect(rounds).toBeGreaterThanOrEqual(100)
    expect(most).toBe(16)
  })
})
