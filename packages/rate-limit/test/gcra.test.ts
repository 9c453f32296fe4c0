import { expect, test } from 'vitest'
import { Callers } from '../src/callers.ts'
import { Gcra } from '../src/gcra.ts'
import { networkOf } from '../src/networks.ts'

const rule = new Gcra({ limit: 10, window: 1000, burst: 10 })

test('allows a burst, then one request each interval', () => {
  const callers = new Callers(rule, 100, () => '')
  for (let at = 0; at < 10; at++) expect(callers.take('a', 0, 1)).toBe(0)
  expect(callers.take('a', 0, 1)).toBeCloseTo(100)
  expect(callers.take('a', 99, 1)).toBeCloseTo(1)
  expect(callers.take('a', 100, 1)).toBe(0)
  expect(callers.take('a', 100, 1)).toBeCloseTo(100)
})

test('a refused request costs nothing', () => {
  const callers = new Callers(rule, 100, () => '')
  for (let at = 0; at < 1000; at++) callers.take('a', 0, 1)
  expect(callers.take('a', 100, 1)).toBe(0)
})

test('the whole budget is there again after a window, for fractions as well', () => {
  for (const limit of [3, 7, 11, 13, 97]) {
    const odd = new Callers(new Gcra({ limit, window: 1000, burst: limit }), 10, () => '')
    for (const now of [0, 1000, 2000, 123_456_789.1]) for (let at = 0; at < limit; at++) expect(odd.take('a', now, 1)).toBe(0)
  }
})

test('a cost takes that much, at most the burst', () => {
  const callers = new Callers(rule, 100, () => '')
  expect(callers.take('a', 0, 9)).toBe(0)
  expect(callers.take('a', 0, 2)).toBeCloseTo(100)
  expect(callers.take('b', 0, 1000)).toBe(0)
  expect(callers.take('b', 0, 1)).toBeCloseTo(100)
})

test('never grants more than the burst and what the time has earned', () => {
  let seed = 7
  const random = (): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31
  const callers = new Callers(rule, 100, () => '')
  let now = 0
  let granted = 0
  for (let at = 0; at < 5000; at++) {
    now += random() * 60
    if (callers.take('a', now, 1) === 0) granted++
    expect(granted).toBeLessThanOrEqual(10 + now / 100 + 1e-6)
  }
})

test('a full table forgets no caller that has used its budget', () => {
  const callers = new Callers(rule, 1000, networkOf)
  for (let at = 0; at < 10; at++) callers.take('192.0.2.1', 0, 1)
  for (let at = 0; at < 100_000; at++) callers.take(`10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`, 1, 1)
  expect(callers.size).toBeLessThanOrEqual(1000)
  expect(callers.take('192.0.2.1', 1, 1)).toBeGreaterThan(0)
})

test('one network with many addresses does not fill the table', () => {
  const callers = new Callers(rule, 1000, networkOf)
  for (let at = 0; at < 100_000; at++) callers.take(`2001:db8:1:${at.toString(16)}::/64`, 0, 1)
  expect(callers.size).toBeLessThan(600)
  for (let at = 0; at < 100; at++) expect(callers.take(`198.51.${at}.1`, 0, 1)).toBe(0)
})

test('a network beyond its share has one budget', () => {
  const callers = new Callers(rule, 1000, networkOf)
  for (let at = 0; at < 1000; at++) callers.take(`203.0.${at >> 8}.${at & 255}`, 0, 1)
  let allowed = 0
  for (let at = 0; at < 1000; at++) if (callers.take(`2001:db8:1:${at.toString(16)}::/64`, 0, 1) === 0) allowed++
  expect(allowed).toBeLessThanOrEqual(Math.ceil(1000 / 16) + 10)
})

test('callers are forgotten when their budget is full again', () => {
  const callers = new Callers(rule, 1000, networkOf)
  for (let at = 0; at < 800; at++) callers.take(`203.${at >> 8}.${at & 255}.1`, 0, 1)
  for (let at = 0; at < 800; at++) callers.take(`198.${at >> 8}.${at & 255}.1`, 10_000, 1)
  expect(callers.size).toBeLessThanOrEqual(1000)
  // Each new caller makes room for two.
  for (let at = 0; at < 2000; at++) callers.take(`192.0.${at & 255}.${at >> 8}`, 1e9 + at * 1000, 1)
  expect(callers.size).toBeLessThanOrEqual(500)
})

test('knows the network of a caller', () => {
  expect(networkOf('2001:db8:0:1::/64')).toBe('2001:db8:0')
  expect(networkOf('192.0.2.1')).toBe('192.0.2.')
})
