import { memory, transportContract } from '@iopa/testing'
import { describe, test } from 'vitest'

describe('transport contract of memory', () => {
  // Nobody listens on an address there, so there is no port to be taken and nothing to guard.
  const cases = transportContract({
    transport: options => memory({ ...(options.limits === undefined ? {} : { limits: options.limits }) }),
    url: ({ url }) => url.href,
    features: { guarded: false, exclusive: false }
  })
  for (const { name, run } of cases) test(name, run)
})
