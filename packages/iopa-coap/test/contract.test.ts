import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { transportContract } from '@iopa/testing'
import { describe, test } from 'vitest'

// Codes that both protocols have (design: RFC 7252 section 12.1.2 beside RFC 9110).
const statuses = [200, 201, 204, 400, 401, 403, 404, 405, 409, 412, 415, 422, 429, 500, 501, 503, 504]

describe('the transport contract over UDP', () => {
  for (const { name, run } of transportContract({
    transport: options => coap({ port: 0, ...options }),
    url: ({ url }) => url.href,
    features: { headers: false, anyMethod: false, connection: false, cancel: false, problems: false, statuses }
  }))
    test.concurrent(name, { timeout: 20_000 }, run)
})

describe('the transport contract over TCP', () => {
  for (const { name, run } of transportContract({
    transport: options => coap({ port: 0, udp: false, tcp: true, ...options }),
    url: ({ url }) => url.href,
    features: { headers: false, anyMethod: false, cancel: false, problems: false, statuses }
  }))
    test.concurrent(name, { timeout: 20_000 }, run)
})

describe('the transport contract over DTLS', () => {
  const keys = dtls({ psk: { 'sensor-1': Buffer.from('the key of a sensor') } })
  for (const { name, run } of transportContract({
    transport: options => coap({ port: 0, dtls: keys, ...options }),
    url: ({ url }) => url.href,
    features: { headers: false, anyMethod: false, connection: false, cancel: false, guarded: false, problems: false, statuses }
  }))
    test.concurrent(name, { timeout: 20_000 }, run)
})
