import { transportContract } from '@iopa/testing'
import { describe, test } from 'vitest'
import { tcp } from '../src/index.ts'

describe('transport contract of tcp', () => {
  const cases = transportContract({ transport: options => tcp({ port: 0, ...options }), url: ({ url }) => url.href, features: { cancel: false } })
  for (const { name, run } of cases) test(name, run)
})
