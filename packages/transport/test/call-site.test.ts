import { callSite } from '@iopa/appbuilder/extension'
import { expect, test } from 'vitest'

const register = (): string => callSite(register)()
const group = (build: () => string): string => build()

test('the place of a registration is the file and line that called the method', () => {
  const place = register()
  expect(place).toMatch(/call-site\.test\.ts:8$/)
})

test('a registration inside a group has its own place', () => {
  expect(group(() => register())).toMatch(/call-site\.test\.ts:13$/)
})

test('an engine without stack traces gives no place', () => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    expect(register()).toBe('')
  } finally {
    Error.stackTraceLimit = limit
  }
})
