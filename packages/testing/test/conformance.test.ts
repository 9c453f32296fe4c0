import { App } from '@iopa/appbuilder'
import { conformance } from '@iopa/testing'
import { describe, expect, test } from 'vitest'

describe('the thirty statements of the specification', () => {
  const statements = conformance({ createApp: options => new App(options) })
  for (const { number, name, run } of statements) test(`${number}. ${name}`, run)

  test('have the numbers 1 to 30', () => {
    expect(statements.map(({ number }) => number)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1))
  })
})
