import { expect, test } from 'vitest'
import { Page } from '../../../src/broker/admin/page.ts'

test('a page holds the first items behind a place, and pages together hold all of them once', () => {
  const keys = Array.from({ length: 100 }, (_, index) => `k${(index * 37) % 100}`)
  const found: string[] = []
  for (let after = '', pages = 0; pages < 20; pages++) {
    const page = new Page<string>(after, 7)
    for (const key of keys) page.offer(key, key)
    const { items, next } = page.result(item => item)
    found.push(...items)
    if (next === undefined) break
    expect(items).toHaveLength(7)
    after = next
  }
  expect(found).toEqual([...keys].sort())
})

test('the last page names no further one, also when it is full', () => {
  const page = new Page<number>('', 2)
  page.offer('b', 2)
  page.offer('a', 1)
  expect(page.result(item => item)).toEqual({ items: [1, 2] })
})
