import { App } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'

test('10,000 failing requests log a bounded number of lines, and how many there were', async () => {
  const lines: string[] = []
  const note = (line: unknown): void => void lines.push(String(line))
  const clock = virtualClock()
  const app = new App({ clock, logger: { error: note, warn: note, info: note, debug: note } }).use(() => {
    throw new Error('broken')
  })
  const fail = async (times: number): Promise<void> => {
    for (let n = 0; n < times; n++) expect((await app.invoke({ 'iopa.Path': '/' })).status).toBe(500)
  }
  await fail(10_000)
  expect(lines.length).toBe(50)
  await clock.advance(1000)
  expect(lines.slice(50)).toEqual(['iopa: 9950 more requests failed with 5xx within a second'])
  // The next second has lines of its own; what was not said is said when the app closes.
  await fail(52)
  expect(lines.length).toBe(101)
  await app.close()
  expect(lines.slice(101)).toEqual(['iopa: 2 more requests failed with 5xx within a second'])
})
