import { inspect } from 'node:util'
import { HeaderMap } from '@iopa/context/host'
import { expect, test } from 'vitest'

test('headers print their fields, but for the values of credentials', () => {
  const headers = HeaderMap.from({
    'Content-Digest': 'sha-256=:abc:',
    vary: ['accept', 'cookie'],
    authorization: 'Bearer secret',
    cookie: ['a=1', 'b=2']
  })
  expect(inspect(headers)).toBe(
    "[\n  'Content-Digest: sha-256=:abc:',\n  'vary: accept',\n  'vary: cookie',\n  'authorization: ***',\n  'cookie: ***',\n  'cookie: ***'\n]"
  )
  expect(inspect({ received: new HeaderMap(['x-sum', '7']) })).toBe("{ received: [ 'x-sum: 7' ] }")
})
