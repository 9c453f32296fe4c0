import { describe, expect, test } from 'vitest'
import { Snapshots } from '../src/exchanges/snapshots.ts'

const LIMITS = { bytes: 1000, count: 3, countPerOwner: 2, lifetime: 60_000 }
const of = (held: number) => ({ held })

describe('snapshots', () => {
  test('are found until nobody has asked for their lifetime', () => {
    const snapshots = new Snapshots(LIMITS)
    const value = of(10)
    snapshots.keep({}, 'k', value, 0)
    expect(snapshots.find('k', 50_000)).toBe(value)
    expect(snapshots.find('k', 100_000)).toBe(value)
    expect(snapshots.find('k', 160_000)).toBeUndefined()
    expect([snapshots.size, snapshots.bytes]).toEqual([0, 0])
  })

  test('give way to the newest: of the same key, of the same owner, of all', () => {
    const snapshots = new Snapshots(LIMITS)
    const [a, b, c] = [{}, {}, {}]
    snapshots.keep(a, '1', of(1), 0)
    snapshots.keep(a, '1', of(2), 0)
    expect(snapshots.bytes).toBe(2)
    snapshots.keep(a, '2', of(1), 0)
    snapshots.keep(a, '3', of(1), 0)
    expect(snapshots.find('1', 0)).toBeUndefined()
    snapshots.keep(b, '4', of(1), 0)
    snapshots.keep(c, '5', of(1), 0)
    expect(snapshots.find('2', 0)).toBeUndefined()
    expect(snapshots.size).toBe(3)
  })

  test('never hold more bytes than they may', () => {
    const snapshots = new Snapshots(LIMITS)
    snapshots.keep({}, '1', of(600), 0)
    snapshots.keep({}, '2', of(600), 0)
    expect([snapshots.size, snapshots.bytes]).toEqual([1, 600])
    snapshots.keep({}, '3', of(2000), 0)
    expect(snapshots.find('3', 0)).toBeUndefined()
    expect(snapshots.bytes).toBe(600)
  })

  test('go with their owner', () => {
    const snapshots = new Snapshots(LIMITS)
    const owner = {}
    snapshots.keep(owner, '1', of(5), 0)
    snapshots.keep({}, '2', of(5), 0)
    snapshots.forget(owner)
    expect(snapshots.find('1', 0)).toBeUndefined()
    expect(snapshots.bytes).toBe(5)
  })
})
