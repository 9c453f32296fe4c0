import { describe, expect, test } from 'vitest'
import { PacketIdentifiers } from '../../../src/broker/session/inflight-messages.ts'

describe('packet identifiers', () => {
  test('go from 1 to 65,535 and wrap, skipping those in use', () => {
    const identifiers = new PacketIdentifiers()
    const inUse = new Set([2, 3])
    expect([identifiers.next(inUse), identifiers.next(inUse)]).toEqual([1, 4])
    for (let index = 5; index <= 65_535; index++) expect(identifiers.next(inUse)).toBe(index)
    expect(identifiers.next(inUse)).toBe(1)
  })
})
