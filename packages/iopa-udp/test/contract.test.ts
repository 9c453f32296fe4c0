import { transportContract } from '@iopa/testing'
import { describe, test } from 'vitest'
import { udp } from '../src/index.ts'

describe('transport contract of udp', () => {
  // A datagram says nothing of who is there: no connection to fail, no observer, no request taken back.
  const features = { observe: false, connection: false, cancel: false }
  const cases = transportContract({ transport: options => udp({ port: 0, ...options }), url: ({ url }) => url.href, features })
  for (const { name, run } of cases) test(name, run)
})
