import { callSite } from '@iopa/appbuilder/extension'
import { expect, test } from 'vitest'

const register = (): string => callSite(register)()
const group = (build: () => string): string => build()

test('callSite() returns the file and line that called the method', () => {
  const place = register()
  expect(place).toMatch(/call-site\.test\.ts:8$/)
})

test('callSite() of a registration inside a group is its own line', () => {
  expect(group(() => register())).toMatch(/call-site\.test\.ts:13$/)
})

test('callSite() is undefined in an engine without stack traces', () => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    expect(register()).toBe('')
  } finally {
    Error.stackTraceLimit = limit
  }
})
