import type { Context } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { Presence } from '../../src/twin/presence.ts'

/** What lasts longer than a request, and ends when a test says so. */
const connection = () => {
  const ends: (() => void)[] = []
  const end = (): void => {
    for (const ended of ends.splice(0)) ended()
  }
  return { context: { ended: false, defer: (ended: () => void) => ends.push(ended) } as unknown as Context, end }
}

const watched = (devices = 10) => {
  const clock = virtualClock()
  const told: string[] = []
  const kept: (readonly (readonly [string, number])[])[] = []
  const fault: { error?: Error } = {}
  const presence = new Presence({
    clock,
    devices,
    changed: key => void told.push(key),
    keep: async times => {
      if (fault.error !== undefined) throw fault.error
      kept.push(times)
    }
  })
  return { clock, presence, told, kept, fault }
}

describe('presence', () => {
  test('tells of each connection and its end, and of being heard once a minute', async () => {
    const { clock, presence, told } = watched()
    const [one, other] = [connection(), connection()]
    presence.heard('d', one.context)
    presence.heard('d', one.context)
    presence.heard('d', other.context)
    expect(told.length).toBe(2)
    expect(presence.stateOf('d')).toMatchObject({ connected: true, connections: 2 })
    for (let second = 0; second < 130; second++) {
      await clock.advance(1000)
      presence.heard('d', null)
    }
    expect(told.length).toBe(4)
    one.end()
    other.end()
    expect(told.length).toBe(6)
    expect(presence.stateOf('d')).toEqual({ connected: false, connections: 0, lastSeen: '1970-01-01T00:02:10.000Z' })
  })

  test('counts 64 connections of one device at most', () => {
    const { presence } = watched()
    for (let n = 0; n < 100; n++) presence.heard('d', connection().context)
    expect(presence.stateOf('d').connections).toBe(64)
  })

  test('forgets the device that was heard longest ago, and none that is connected', () => {
    const { presence } = watched(2)
    const staying = connection()
    presence.heard('a', staying.context)
    for (const key of ['b', 'c', 'd']) presence.heard(key, null)
    expect(['a', 'b', 'c', 'd'].map(key => presence.stateOf(key).lastSeen !== null)).toEqual([true, false, false, true])
    presence.forget('a')
    expect(presence.stateOf('a').connected).toBe(true)
  })

  test('keeps times in slices a minute later, and again where that failed', async () => {
    const { clock, presence, kept, fault } = watched(2000)
    for (let n = 0; n < 1200; n++) presence.heard(`d${n}`, null)
    await clock.advance(59_000)
    expect(kept).toEqual([])
    fault.error = new Error('the disk is full')
    await clock.advance(1000)
    expect(kept).toEqual([])
    delete fault.error
    await clock.advance(60_000)
    expect(kept.map(times => times.length)).toEqual([500, 500, 200])
    await presence.flush()
    expect(kept.length).toBe(3)
  })
})
