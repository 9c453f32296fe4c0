import { App } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'

const failing = async (failureLogs: number, times: number): Promise<string[]> => {
  const lines: string[] = []
  const note = (line: unknown): void => void lines.push(String(line))
  const app = new App({ logger: { error: note, warn: note, info: note, debug: note }, limits: { failureLogs } }).use(() => {
    throw new Error('broken')
  })
  for (let n = 0; n < times; n++) await app.invoke({ 'iopa.Path': '/' })
  await app.close()
  return lines
}

test('limits.failureLogs is the number of failures per second that are logged individually', async () => {
  expect((await failing(3, 10)).slice(3)).toEqual(['iopa: 7 more requests failed with 5xx within a second'])
  expect((await failing(Number.POSITIVE_INFINITY, 200)).length).toBe(200)
  expect(() => new App({ logger: false }).host().withLimits({ failureLogs: 5 })).toThrow(/one of the whole app/)
})

test('10,000 failing requests log a bounded number of lines and their count', async () => {
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
