import { transportContract } from '@iopa/testing'
import { describe, test } from 'vitest'
import { http } from '../src/index.ts'

describe('transport contract of http', () => {
  const cases = transportContract({
    transport: ({ allowUnauthenticated: _, limits, ...options }) => http({ port: 0, ...options, ...(limits && { limits }) }),
    url: listener => listener.url.href,
    // HTTP listens on any address it is given; its guard is the Host header.
    features: { guarded: false, credentials: 'authorization' }
  })
  for (const { name, run } of cases) test(name, run)
})
